/* leadlift_decoder_engine.c: steps in the layout of edge's engines, for the engine `c`; no part of an export. */
#include "leadlift_decoder.h"

#define ROWS LEADLIFT_DECODER_ROWS
#define HOP LEADLIFT_DECODER_HOP
#define OUTPUTS LEADLIFT_DECODER_OUTPUTS
#define SIGMAS LEADLIFT_DECODER_SIGMAS

uint32_t leadlift_engine_state_bytes(void) { return sizeof(leadlift_decoder_t); }

/*
 * What a step reads and writes: ecg [row][sample][frame] mV, mask [row][frame], anchor [output][row]; ecg_mv
 * [output][sample][frame] mV, log_sigma [sigma lead][sample][frame].
 */
typedef struct {
    const float *ecg, *mask, *anchor;
    float *ecg_mv, *log_sigma;
    uint64_t frames;
} arrays_t;

/* The next frames of a stream. */
void leadlift_engine_step(leadlift_decoder_t *decoder, const arrays_t *arrays)
{
    float hop[ROWS * HOP], known[ROWS], predicted[OUTPUTS * HOP], residual[OUTPUTS * HOP], sigma[SIGMAS * HOP];
    const uint64_t frames = arrays->frames;
    for (uint64_t frame = 0; frame < frames; frame++) {
        for (uint64_t i = 0; i < ROWS * HOP; i++) {
            hop[i] = arrays->ecg[i * frames + frame];
        }
        for (uint64_t row = 0; row < ROWS; row++) {
            known[row] = arrays->mask[row * frames + frame];
        }
        leadlift_decoder_predict(hop, arrays->anchor, predicted);
        leadlift_decoder_step(decoder, hop, predicted, known, residual, sigma);
        for (uint64_t i = 0; i < OUTPUTS * HOP; i++) {
            arrays->ecg_mv[i * frames + frame] = predicted[i] + residual[i];
        }
        for (uint64_t i = 0; i < SIGMAS * HOP; i++) {
            arrays->log_sigma[i * frames + frame] = sigma[i];
        }
    }
}

/* The next frames of each of `n` streams, whose arrays lie one behind the other. */
void leadlift_engine_batch(leadlift_decoder_t *const *decoders, const arrays_t *arrays, uint64_t n)
{
    arrays_t one = *arrays;
    for (uint64_t i = 0; i < n; i++) {
        leadlift_engine_step(decoders[i], &one);
        one.ecg += ROWS * HOP * one.frames;
        one.mask += ROWS * one.frames;
        one.anchor += OUTPUTS * ROWS;
        one.ecg_mv += OUTPUTS * HOP * one.frames;
        one.log_sigma += SIGMAS * HOP * one.frames;
    }
}
