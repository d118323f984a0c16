/*
 * ads1293.h: an ADS1293 wired for II, V1 and V5. NOT TRIED ON SILICON: written from TI's datasheet SNAS602C;
 * see "ADS1293" in ../README.md for the wiring and for what to check first on a board.
 */
#ifndef ADS1293_H
#define ADS1293_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ADS1293_CHANNELS 3u
#define ADS1293_RATE_MILLIHERTZ 400000u /* 102.4 kHz / R1 4 / R2 4 / R3 16 */
/* 2 x 2.4 V / 3.5 over 2^23 codes is 163.49 nV; ads1293_counts doubles codes, see there. */
#define ADS1293_NANOVOLTS_PER_LSB 81.745f

/* Exchange `n` bytes over SPI (mode 0, at most 20 MHz, chip select low throughout), from `out` to `in`. */
typedef void (*ads1293_transfer_t)(void *context, const uint8_t *out, uint8_t *in, size_t n);

/* Write the configuration, read it back, and start converting; false if what is read back differs. */
bool ads1293_start(ads1293_transfer_t transfer, void *context);

/*
 * Read one sample of each channel after data-ready: `counts` II, V1, V5 for leadlift_encode_samples, and the
 * lead-off mask: bit 0 II, bit 1 V1, bit 2 V5. 12 bytes of SPI in two transfers.
 */
void ads1293_read(ads1293_transfer_t transfer, void *context, int32_t counts[ADS1293_CHANNELS],
                  uint8_t *lead_off);

/* Converter code (offset binary, 0 to 2^23, zero volts at 2^22) to counts with zero volts at 0. */
int32_t ads1293_counts(uint32_t code);

/* ERROR_LOD (bit i: electrode at input i + 1 is off) to the leads that suffer. */
uint8_t ads1293_lead_off(uint8_t error_lod);

#ifdef __cplusplus
}
#endif

#endif
