/*
 * leadlift_decoder.h: the INT8 decoder of a leadlift bundle on anything that has a C99 compiler.
 *
 * `leadlift export-c BUNDLE OUT` writes this file, leadlift_decoder.c, and what it made of the bundle:
 * leadlift_decoder_config.h (sizes, where the bundle is from) and leadlift_decoder_tables.h (weights).
 *
 * One hop (LEADLIFT_DECODER_HOP samples of each lead, in mV) goes in, what the decoder adds to the anchor's
 * prediction comes out. No malloc, no static data that changes; of the C library memcpy and memset alone.
 *
 *     static leadlift_decoder_t decoder;       // the stream's state, the caller's
 *     leadlift_decoder_reset(&decoder);
 *     for each hop:
 *         leadlift_decoder_predict(ecg, anchor, predicted);
 *         leadlift_decoder_step(&decoder, ecg, predicted, mask, residual, log_sigma);
 *         // lead o, sample s, mV: predicted[o][s] + residual[o][s]; its sigma follows from log_sigma
 *
 * All codes inside equal those of ONNX Runtime: compile with -ffp-contract=off and without -ffast-math.
 *
 * Contexts. No function blocks or touches anything but its arguments and constant tables: any number of
 * decoders may run at once, each in one thread or interrupt at a time.
 */
#ifndef LEADLIFT_DECODER_H
#define LEADLIFT_DECODER_H

#include <stdint.h>

#include "leadlift_decoder_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Floats of each argument. Rows are leads, in the order of the config's lead lists; samples run within a row. */
#define LEADLIFT_DECODER_ECG_FLOATS (LEADLIFT_DECODER_ROWS * LEADLIFT_DECODER_HOP)
#define LEADLIFT_DECODER_PREDICTED_FLOATS (LEADLIFT_DECODER_OUTPUTS * LEADLIFT_DECODER_HOP)
#define LEADLIFT_DECODER_SIGMA_FLOATS (LEADLIFT_DECODER_SIGMAS * LEADLIFT_DECODER_HOP)
#define LEADLIFT_DECODER_ANCHOR_FLOATS (LEADLIFT_DECODER_OUTPUTS * LEADLIFT_DECODER_ROWS)

/* A stream's state: make one per stream, and reset it before its first hop. */
typedef struct {
    uint16_t at[LEADLIFT_DECODER_BLOCKS];       /* of each block's ring, the slot of the oldest frame */
    int8_t history[LEADLIFT_DECODER_HISTORY];   /* codes 0..127 */
} leadlift_decoder_t;

/* Forget the stream. */
void leadlift_decoder_reset(leadlift_decoder_t *decoder);

/*
 * The anchor's prediction, mV: anchor [output][row] times ecg [row][sample] into predicted [output][sample].
 * The sums run in the order of ONNX Runtime on x86.
 */
void leadlift_decoder_predict(const float *ecg, const float *anchor, float *predicted);

/*
 * The next hop.
 *
 *   ecg        [row][sample] mV, conditioned for the residual branch; 0 where a lead is off
 *   predicted  [output][sample] mV, the anchor's prediction of the decoded leads from `ecg`
 *   mask       [row] 1 where the lead is known, else 0; not read where LEADLIFT_DECODER_MASK is 0
 *   residual   [output][sample] mV, out: what to add to `predicted`
 *   log_sigma  [sigma lead][sample], out: natural logarithm of sigma in mV
 *
 * A value that is not a number reads as 0.
 */
void leadlift_decoder_step(leadlift_decoder_t *decoder, const float *ecg, const float *predicted, const float *mask,
                           float *residual, float *log_sigma);

/* The state as the bundle's tensors hold it, LEADLIFT_DECODER_HISTORY codes: of each block, oldest frame first. */
void leadlift_decoder_get_state(const leadlift_decoder_t *decoder, uint8_t *codes);

/* Continue from such codes, each at most 127. */
void leadlift_decoder_set_state(leadlift_decoder_t *decoder, const uint8_t *codes);

/* The kernel that was compiled: "mve", "arm dsp", "avx2" or "plain". */
const char *leadlift_decoder_kernel(void);

#ifdef __cplusplus
}
#endif
#endif
