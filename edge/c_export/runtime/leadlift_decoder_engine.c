/* leadlift_decoder_engine.c: steps in the layout of edge's engines, for the engine `c`; no part of an export. */
#include "leadlift_decoder.h"

#define ROWS LEADLIFT_DECODER_ROWS
#define HOP LEADLIFT_DECODER_HOP
#define OUTPUTS LEADLIFT_DECODER_OUTPUTS
#define SIGMAS LEADLIFT_DECODER_SIGMAS

uint32_t leadlift_engine_state_bytes(void) { return sizeof(leadlift_decoder_t); }

/*
 * The next frames: ecg [row][sample][frame] mV, mask [row][frame], anchor [output][row]; out: ecg_mv
 * [output][sample][frame] mV, log_sigma [sigma lead][sample][frame].
 */
void leadlift_engine_step(leadlift_decoder_t *decoder, int frames, const float *ecg, const float *mask,
                          const float *anchor, float *ecg_mv, float *log_sigma)
{
    float hop[ROWS * HOP], known[ROWS], predicted[OUTPUTS * HOP], residual[OUTPUTS * HOP], sigma[SIGMAS * HOP];
    for (int frame = 0; frame < frames; frame++) {
        for (int i = 0; i < ROWS * HOP; i++) {
            hop[i] = ecg[i * frames + frame];
        }
        for (int row = 0; row < ROWS; row++) {
            known[row] = mask[row * frames + frame];
        }
        leadlift_decoder_predict(hop, anchor, predicted);
        leadlift_decoder_step(decoder, hop, predicted, known, residual, sigma);
        for (int i = 0; i < OUTPUTS * HOP; i++) {
            ecg_mv[i * frames + frame] = predicted[i] + residual[i];
        }
        for (int i = 0; i < SIGMAS * HOP; i++) {
            log_sigma[i * frames + frame] = sigma[i];
        }
    }
}

/* The next frames of each of `n` streams, whose arguments lie one behind the other. */
void leadlift_engine_batch(leadlift_decoder_t *const *decoders, int n, int frames, const float *ecg, const float *mask,
                           const float *anchor, float *ecg_mv, float *log_sigma)
{
    for (int i = 0; i < n; i++) {
        leadlift_engine_step(decoders[i], frames, ecg + i * ROWS * HOP * frames, mask + i * ROWS * frames,
                             anchor + i * OUTPUTS * ROWS, ecg_mv + i * OUTPUTS * HOP * frames,
                             log_sigma + i * SIGMAS * HOP * frames);
    }
}
