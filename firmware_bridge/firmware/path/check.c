/*
 * check.c: a stream with everything that befalls a wearable through the path, on a board in QEMU or on a host.
 *
 * Prints a CRC of all that came out, so that two processors can be compared, and what a hop takes. `make run` and
 * `make host-run`.
 */
#include "../demo/ecg_table.h"
#include "leadlift_path.h"

#define HOPS 2000u
#define UV_TO_COUNTS 20 /* 50 nV */
#define SCALE_NV 50.0f
#define STEP (ECG_TABLE_HZ * 1000u / LEADLIFT_PATH_SAMPLING_MILLIHERTZ)
#define RAIL 8388607

static leadlift_path_t path;
static leadlift_twelve_t twelve;

static uint32_t crc32_of(uint32_t crc, const void *from, uint32_t n)
{
    const uint8_t *bytes = from;
    while (n-- > 0u) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return crc;
}

/* A sample of lead `lead`: a heart, hum, and offsets that step by hundreds of millivolts; flat and clipped at times. */
static int32_t sample(uint32_t n, uint32_t lead)
{
    static const int32_t OFFSET_MV[4] = {0, 300, -280, 3};
    const uint32_t hop = n / LEADLIFT_PATH_HOP;
    int32_t uv = ECG_TABLE_UV[n * STEP % ECG_TABLE_ROWS][lead % 3u];
    uv += (int32_t)(n * 50u % 250u) - 125 + 1000 * OFFSET_MV[(hop / 400u + lead) % 4u];
    if (lead == 1u && hop >= 600u && hop < 800u) {
        uv = 250; /* a flat line */
    }
    if (lead == 2u && hop >= 900u && hop < 950u) {
        return n % 50u < 25u ? RAIL : -RAIL;
    }
    if (lead == 0u && hop >= 1100u && hop < 1200u) {
        uv += (int32_t)(n * 2654435761u >> 20); /* noise */
    }
    return uv * UV_TO_COUNTS;
}

static uint8_t lead_off(uint32_t hop)
{
    const uint32_t all = (1u << LEADLIFT_PATH_LEADS) - 1u;
    if (hop >= 1300u && hop < 1340u) {
        return 1u;
    }
    if (hop >= 1400u && hop < 1403u) {
        return (uint8_t)all; /* short: held */
    }
    return (uint8_t)(hop >= 1500u && hop < 1530u ? all : hop >= 1600u && hop < 1650u ? all & 6u : 0u);
}

typedef struct {
    uint32_t crc, hops, ticks, most_ticks;
} found_t;

static found_t run(uint32_t (*clock)(void))
{
    found_t found = {0xFFFFFFFFu, 0, 0, 0};
    leadlift_path_begin(&path, SCALE_NV, 24);
    for (uint32_t hop = 0; hop < HOPS; hop++) {
        int32_t counts[LEADLIFT_PATH_HOP * LEADLIFT_PATH_LEADS];
        for (uint32_t i = 0; i < LEADLIFT_PATH_HOP * LEADLIFT_PATH_LEADS; i++) {
            counts[i] = sample(hop * LEADLIFT_PATH_HOP + i / LEADLIFT_PATH_LEADS, i % LEADLIFT_PATH_LEADS);
        }
        if (hop == 1800u) {
            leadlift_path_skip(&path, 1000u);
        }
        const uint32_t start = clock();
        leadlift_path_counts(&path, counts, lead_off(hop), &twelve);
        const uint32_t ticks = clock() - start;
        found.ticks += ticks;
        found.most_ticks = ticks > found.most_ticks ? ticks : found.most_ticks;
        found.crc = crc32_of(found.crc, twelve.ecg_mv, sizeof twelve.ecg_mv);
        found.crc = crc32_of(found.crc, twelve.sigma_mv, sizeof twelve.sigma_mv);
        found.crc = crc32_of(found.crc, twelve.quality, sizeof twelve.quality);
        found.hops++;
    }
    return found;
}

#ifndef LEADLIFT_BOARD
#include <stdio.h>

static uint32_t no_clock(void) { return 0; }

int main(void)
{
    const found_t found = run(no_clock);
    printf("kernel %s\nhops %u\ncrc %08x\n", leadlift_decoder_kernel(), (unsigned)found.hops, (unsigned)found.crc);
    return 0;
}
#else
#include "board.h"
#endif
