/*
 * leadlift_decoder_check.c: does this compiler and this processor compute what ONNX Runtime computes?
 *
 * On a host: cc -std=c99 -O2 -ffp-contract=off -DLEADLIFT_DECODER_MAIN leadlift_decoder.c leadlift_decoder_check.c
 * On a board call leadlift_decoder_check(), which needs memory for the state twice, and print what it found.
 */
#include "leadlift_decoder_check.h"

#include "leadlift_decoder.h"
#include "leadlift_decoder_golden.h"

/* The codes are equal or not; of a float the last sum, whose order differs, leaves a few steps of float32. */
#define TOLERANCE 1e-5f

static leadlift_decoder_t decoder;
static uint8_t codes[LEADLIFT_DECODER_HISTORY];

static uint32_t crc32_of(const uint8_t *bytes, uint32_t n)
{
    uint32_t crc = 0xFFFFFFFFu;
    while (n-- > 0u) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

static int apart(float value, float golden)
{
    const float size = golden < 0.0f ? -golden : golden;
    const float difference = value < golden ? golden - value : value - golden;
    return !(difference <= TOLERANCE * (1.0f + size));
}

leadlift_decoder_check_t leadlift_decoder_check(uint32_t (*clock)(void))
{
    leadlift_decoder_check_t found = {0, 0, 0, 0, 0, 0};
    float predicted[LEADLIFT_DECODER_PREDICTED_FLOATS], residual[LEADLIFT_DECODER_PREDICTED_FLOATS];
    float log_sigma[LEADLIFT_DECODER_SIGMA_FLOATS];
    const float *ecg = GOLDEN_ECG, *mask = GOLDEN_MASK, *ecg_mv = GOLDEN_ECG_MV, *sigma = GOLDEN_LOG_SIGMA;

    leadlift_decoder_reset(&decoder);
    for (uint32_t hop = 0; hop < GOLDEN_HOPS; hop++) {
        const float *anchor = GOLDEN_ANCHOR + hop / GOLDEN_HOPS_A_STREAM * LEADLIFT_DECODER_ANCHOR_FLOATS;
        uint32_t wrong = 0;
        leadlift_decoder_predict(ecg, anchor, predicted);
        const uint32_t start = clock ? clock() : 0u;
        leadlift_decoder_step(&decoder, ecg, predicted, mask, residual, log_sigma);
        const uint32_t ticks = clock ? clock() - start : 0u;
        found.ticks += ticks;
        for (int i = 0; i < LEADLIFT_DECODER_PREDICTED_FLOATS; i++) {
            wrong += (uint32_t)apart(predicted[i] + residual[i], *ecg_mv++);
        }
        for (int i = 0; i < LEADLIFT_DECODER_SIGMA_FLOATS; i++) {
            wrong += (uint32_t)apart(log_sigma[i], *sigma++);
        }
        found.hops++;
        found.wrong_hops += wrong > 0u;
        if ((hop + 1u) % GOLDEN_STATE_EVERY == 0u) {
            leadlift_decoder_get_state(&decoder, codes);
            found.states++;
            found.wrong_states += crc32_of(codes, sizeof codes) != GOLDEN_STATE_CRC[hop / GOLDEN_STATE_EVERY];
        }
        ecg += LEADLIFT_DECODER_ECG_FLOATS;
        mask += LEADLIFT_DECODER_ROWS;
    }
    found.hops_at_ceiling = GOLDEN_HOPS_AT_CEILING;
    return found;
}

#if defined(LEADLIFT_DECODER_MAIN)
#include <stdio.h>
int main(void)
{
    const leadlift_decoder_check_t found = leadlift_decoder_check(0);
    printf("%s: %u hops, %u with codes at the ceiling, %u differ; %u states, %u differ\n", leadlift_decoder_kernel(),
           (unsigned)found.hops, (unsigned)found.hops_at_ceiling, (unsigned)found.wrong_hops, (unsigned)found.states,
           (unsigned)found.wrong_states);
    return found.wrong_hops + found.wrong_states > 0u;
}
#endif
