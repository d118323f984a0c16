/* leadlift_decoder_engine.c: steps in the layout of edge's engines, for the engine `c`; no part of an export. */
#include "leadlift_decoder.c"

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

/* What a step needs of frame `frame`. */
static void give(const arrays_t *arrays, uint64_t frame, float *hop, float *known, float *predicted)
{
    const uint64_t frames = arrays->frames;
    for (uint64_t i = 0; i < ROWS * HOP; i++) {
        hop[i] = arrays->ecg[i * frames + frame];
    }
    for (uint64_t row = 0; row < ROWS; row++) {
        known[row] = arrays->mask[row * frames + frame];
    }
    leadlift_decoder_predict(hop, arrays->anchor, predicted);
}

/* What it made. */
static void take(const arrays_t *arrays, uint64_t frame, const float *predicted, const float *residual,
                 const float *sigma)
{
    const uint64_t frames = arrays->frames;
    for (uint64_t i = 0; i < OUTPUTS * HOP; i++) {
        arrays->ecg_mv[i * frames + frame] = predicted[i] + residual[i];
    }
    for (uint64_t i = 0; i < SIGMAS * HOP; i++) {
        arrays->log_sigma[i * frames + frame] = sigma[i];
    }
}

/* The next frames of a stream. */
void leadlift_engine_step(leadlift_decoder_t *decoder, const arrays_t *arrays)
{
    float hop[ROWS * HOP], known[ROWS], predicted[OUTPUTS * HOP], residual[OUTPUTS * HOP], sigma[SIGMAS * HOP];
    for (uint64_t frame = 0; frame < arrays->frames; frame++) {
        give(arrays, frame, hop, known, predicted);
        leadlift_decoder_step(decoder, hop, predicted, known, residual, sigma);
        take(arrays, frame, predicted, residual, sigma);
    }
}

/* The arrays of the i-th of streams whose arrays lie one behind the other. */
static arrays_t of_stream(const arrays_t *arrays, uint64_t i)
{
    arrays_t one = *arrays;
    one.ecg += i * ROWS * HOP * one.frames;
    one.mask += i * ROWS * one.frames;
    one.anchor += i * OUTPUTS * ROWS;
    one.ecg_mv += i * OUTPUTS * HOP * one.frames;
    one.log_sigma += i * SIGMAS * HOP * one.frames;
    return one;
}

#define TOGETHER 16 /* streams that go through a layer before the next: its weights are read once for them */

/* What lies between two layers, of each stream. */
typedef struct {
    int8_t taps[TOGETHER][PADDED(TAPS * CHANNELS)] ALIGNED, inner[TOGETHER][PADDED(CHANNELS)] ALIGNED;
    int8_t x[TOGETHER][PADDED(CHANNELS)] ALIGNED;
    int32_t acc[TOGETHER][PADDED(MAX_OUTPUTS)] ALIGNED;
} between_t;

/* dense() of each of `streams`, whose inputs and sums lie one behind the other: four rows for all, then the next. */
static inline void dense_of_each(const layer_t *layer, const int n, const int8_t *x, int streams, int32_t *acc)
{
    for (int o = 0; o < layer->outputs; o += 4) {
        for (int i = 0; i < streams; i++) {
            four_rows(layer->weight + o * n, layer->bias + o, n, x + i * n, acc + i * PADDED(MAX_OUTPUTS) + o);
        }
    }
}

/* The next frame of each of some streams, at most TOGETHER: leadlift_decoder_step, layer by layer. */
static void step_together(leadlift_decoder_t *const *decoders, int streams, float (*hop)[ROWS * HOP],
                          float (*predicted)[OUTPUTS * HOP], float (*known)[ROWS], float (*residual)[OUTPUTS * HOP],
                          float (*sigma)[SIGMAS * HOP])
{
    between_t between;
    memset(&between, 0, sizeof between);
    for (int i = 0; i < streams; i++) {
        see(hop[i], predicted[i], known[i], between.taps[i]);
        dense_signed(&STEM, SEEN, between.taps[i], between.acc[i]);
        to_codes(&STEM, between.acc[i], between.x[i]);
        memset(between.taps[i], 0, sizeof between.taps[i]);
    }
    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        const block_t *block = &BLOCKS[k];
        for (int i = 0; i < streams; i++) {
            remember(decoders[i], k, between.x[i], between.taps[i]);
        }
        dense_of_each(&block->dilated, PADDED(TAPS * CHANNELS), between.taps[0], streams, between.acc[0]);
        for (int i = 0; i < streams; i++) {
            to_codes(&block->dilated, between.acc[i], between.inner[i]);
        }
        dense_of_each(&block->pointwise, PADDED(CHANNELS), between.inner[0], streams, between.acc[0]);
        for (int i = 0; i < streams; i++) {
            add_branch(block, between.acc[i], between.x[i]);
        }
    }
    dense_of_each(&HEAD, PADDED(CHANNELS), between.x[0], streams, between.acc[0]);
    for (int i = 0; i < streams; i++) {
        results(between.acc[i], residual[i], sigma[i]);
    }
}

/* The next frames of each of `n` streams, whose arrays lie one behind the other. */
void leadlift_engine_batch(leadlift_decoder_t *const *decoders, const arrays_t *arrays, uint64_t n)
{
    float hop[TOGETHER][ROWS * HOP], known[TOGETHER][ROWS], predicted[TOGETHER][OUTPUTS * HOP];
    float residual[TOGETHER][OUTPUTS * HOP], sigma[TOGETHER][SIGMAS * HOP];
    const uint64_t frames = arrays->frames;
    for (uint64_t first = 0; first < n; first += TOGETHER) {
        const uint64_t streams = n - first < TOGETHER ? n - first : TOGETHER;
        for (uint64_t frame = 0; frame < frames; frame++) {
            for (uint64_t s = 0; s < streams; s++) {
                const arrays_t one = of_stream(arrays, first + s);
                give(&one, frame, hop[s], known[s], predicted[s]);
            }
            step_together(decoders + first, (int)streams, hop, predicted, known, residual, sigma);
            for (uint64_t s = 0; s < streams; s++) {
                const arrays_t one = of_stream(arrays, first + s);
                take(&one, frame, predicted[s], residual[s], sigma[s]);
            }
        }
    }
}
