/*
 * leadlift_path.h: from a converter's samples to twelve leads on the wearable itself, a hop at a time.
 *
 * What `edge.Reconstructor` does for a stream without a patient's calibration: gaps and leads that are off, the
 * filters, the anchor, the INT8 decoder, the identities, sigma, quality bits. `leadlift export-c BUNDLE OUT
 * --wearable II,V1,V5` writes this file, leadlift_path.c, what it takes of the bundle for these leads
 * (leadlift_path_config.h, leadlift_path_tables.h), and the decoder (leadlift_decoder.*).
 *
 *     static leadlift_path_t path;             // all that is remembered, the caller's
 *     static leadlift_twelve_t twelve;
 *     leadlift_path_begin(&path, 163.5f, 24);
 *     for each LEADLIFT_PATH_HOP conversions of all leads:
 *         leadlift_path_counts(&path, counts, lead_off, &twelve);
 *
 * C99, no malloc, no static data that changes; of the C library memcpy and memset alone, and of the compiler's
 * the arithmetic that the processor lacks (double: the 0.05 Hz high-pass does not survive float, see README.md).
 * Compile with -ffp-contract=off and without -ffast-math.
 *
 * Contexts. No function waits or touches anything but its arguments and constant tables. A hop takes most of a
 * millisecond or more: call it from a thread or the main loop, one path in one context at a time.
 */
#ifndef LEADLIFT_PATH_H
#define LEADLIFT_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "leadlift_decoder.h"
#include "leadlift_path_config.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LEADLIFT_PATH_HOP LEADLIFT_DECODER_HOP /* samples of each lead in a hop */
#define LEADLIFT_PATH_TWELVE 12

/* Quality bits, as edge.Quality has them. */
#define LEADLIFT_QUALITY_INTERPOLATED 1u /* filled in over a gap of at most 100 ms */
#define LEADLIFT_QUALITY_LEAD_OFF 2u     /* a measured lead is off: this one is missing, or made without it */
#define LEADLIFT_QUALITY_SETTLING 4u     /* filters still settle after a start, a step or a lost lead */
#define LEADLIFT_QUALITY_CLIPPED 8u      /* the converter is at its rail */
#define LEADLIFT_QUALITY_NOISY 16u       /* more high-frequency power than an ECG has */
#define LEADLIFT_QUALITY_GAP 32u         /* samples were lost here */

/* Twelve leads, rows I II III aVR aVL aVF V1 V2 V3 V4 V5 V6. */
typedef struct {
    float ecg_mv[LEADLIFT_PATH_TWELVE][LEADLIFT_PATH_HOP];   /* NaN where a measured lead is off */
    float sigma_mv[LEADLIFT_PATH_TWELVE][LEADLIFT_PATH_HOP]; /* one standard deviation; 0 where measured */
    uint8_t quality[LEADLIFT_PATH_TWELVE][LEADLIFT_PATH_HOP];
    uint32_t first_sample; /* samples of each lead before these since leadlift_path_begin, modulo 2^32 */
} leadlift_twelve_t;

/* One stream. Only leadlift_path_ functions write to it. */
typedef struct {
    leadlift_decoder_t decoder;
    double filter[LEADLIFT_PATH_LEADS][LEADLIFT_PATH_SECTIONS][2];
    double sum[LEADLIFT_PATH_LEADS];   /* of the filtered samples of a lead that settles, mV */
    double wrong[LEADLIFT_PATH_LEADS]; /* what is left of a wrong start, of that sum */
    double mv_per_count;
    float anchor[LEADLIFT_DECODER_ANCHOR_FLOATS]; /* of the leads that are on, as mask */
    float mask[LEADLIFT_DECODER_ROWS];
    float value[LEADLIFT_PATH_LEADS];     /* the newest sample, held where missing */
    float low_mv[LEADLIFT_PATH_LEADS];    /* hop means in the second half of a block of hops: least, most */
    float high_mv[LEADLIFT_PATH_LEADS];
    uint32_t next_sample;
    int32_t rail;
    uint16_t missing_for[LEADLIFT_PATH_LEADS]; /* samples */
    uint16_t flat_for[LEADLIFT_PATH_LEADS];    /* hops, as settling */
    uint16_t settling[LEADLIFT_PATH_LEADS];
    int16_t beyond[LEADLIFT_PATH_RULES][LEADLIFT_PATH_LEADS]; /* blocks beyond a level, signed */
    uint8_t rough[LEADLIFT_PATH_LEADS][LEADLIFT_PATH_NOISY_WINDOW]; /* hops with much high-frequency power */
    uint16_t on;                /* leads that `anchor` and `mask` are for, bit i: measured lead i */
    uint16_t off, restart, noisy; /* the same of leads that are off, start anew, are noisy */
    uint8_t rough_at;           /* block of `rough` at hand */
    uint8_t noise_hops;         /* hops in it */
    uint8_t block_hops;         /* hops in the filters' block */
    uint8_t has_value;
} leadlift_path_t;

/*
 * Begin a stream. `nanovolts_per_lsb` is one count at the electrodes and `sample_bits` the converter's width, both
 * as in the stream info; they serve leadlift_path_counts alone.
 */
void leadlift_path_begin(leadlift_path_t *path, float nanovolts_per_lsb, uint8_t sample_bits);

/* `n_samples` of each lead were lost: the state is reset, the index jumps. Up to 100 ms, give NaN instead. */
void leadlift_path_skip(leadlift_path_t *path, uint32_t n_samples);

/*
 * The next hop in converter codes, zero volts at zero: LEADLIFT_PATH_HOP moments, all leads of a moment together,
 * in the order of LEADLIFT_PATH_LEAD_CODES (as leadlift_encode_samples takes them). Bit i of `lead_off` says that
 * the electrode of lead i is off; a code at the converter's rail is flagged as clipped.
 */
void leadlift_path_counts(leadlift_path_t *path, const int32_t *counts, uint8_t lead_off, leadlift_twelve_t *out);

/*
 * The same in mV: ecg_mv [lead][sample], what is not finite is missing. `quality` [lead][sample] has bits that are
 * known already, or is NULL.
 */
void leadlift_path_hop(leadlift_path_t *path, const float *ecg_mv, const uint8_t *quality, leadlift_twelve_t *out);

#ifdef __cplusplus
}
#endif
#endif
