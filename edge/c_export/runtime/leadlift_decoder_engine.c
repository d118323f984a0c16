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
#define UP(n, to) (((n) + (to) - 1) / (to) * (to))

/*
 * A layer for TILE streams at once, on x86 from AVX2 on. Packed weights hold, in each vector, four
 * inputs of each of LANES outputs: four codes of a stream in every lane then add to LANES whole sums. Sums of
 * VECTORS times TILE stay in registers, and a weight is loaded once for all of these streams.
 */
#if defined(WIDE)
#if WIDE == 64
#define TILE 8
#define EVERYWHERE(four) _mm512_set1_epi32(four)
#define ADDED(acc, x, w) _mm512_dpbusd_epi32(acc, x, w)
#define LOADED(p) _mm512_load_si512(p)
#define STORE(p, sums) _mm512_store_si512(p, sums)
#else
#define TILE 4
#define EVERYWHERE(four) _mm256_set1_epi32(four)
#define ADDED(acc, x, w) PRODUCTS(acc, x, w)
#define LOADED(p) _mm256_load_si256((const __m256i *)(p))
#define STORE(p, sums) _mm256_store_si256((__m256i *)(p), sums)
#endif
#define LANES (WIDE / 4)
#define VECTORS 2
#define UNROLLED 2 /* fours of inputs; more copies of registers otherwise, in gcc */
#define SUMS UP(MAX_OUTPUTS, VECTORS * LANES)

typedef struct {
    const layer_t *layer;
    int8_t *weight;
    int32_t *bias;
} packed_t;

#define CHANNELS_UP UP(CHANNELS, VECTORS * LANES)
static int8_t dilated_weight[LEADLIFT_DECODER_BLOCKS][CHANNELS_UP * PADDED(TAPS * CHANNELS)] ALIGNED;
static int8_t pointwise_weight[LEADLIFT_DECODER_BLOCKS][CHANNELS_UP * PADDED(CHANNELS)] ALIGNED;
static int8_t head_weight[SUMS * PADDED(CHANNELS)] ALIGNED;
static int32_t packed_bias[2 * LEADLIFT_DECODER_BLOCKS + 1][SUMS] ALIGNED;
static packed_t dilated[LEADLIFT_DECODER_BLOCKS], pointwise[LEADLIFT_DECODER_BLOCKS], head;

static packed_t packed(const layer_t *layer, int n, int8_t *weight, int32_t *bias)
{
    for (int o = 0; o < layer->outputs; o++) {
        bias[o] = layer->bias[o];
        for (int i = 0; i < n; i++) {
            weight[o / LANES * LANES * n + i / 4 * WIDE + o % LANES * 4 + i % 4] = layer->weight[o * n + i];
        }
    }
    const packed_t made = {layer, weight, bias};
    return made;
}

/* Once, before the first batch: what the weights are packed into. */
void leadlift_engine_open(void)
{
    int32_t(*bias)[SUMS] = packed_bias;
    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        dilated[k] = packed(&BLOCKS[k].dilated, PADDED(TAPS * CHANNELS), dilated_weight[k], *bias++);
        pointwise[k] = packed(&BLOCKS[k].pointwise, PADDED(CHANNELS), pointwise_weight[k], *bias++);
    }
    head = packed(&HEAD, PADDED(CHANNELS), head_weight, *bias);
}

/* VECTORS * LANES outputs of TILE streams. */
static inline void tile(const int8_t *w, const int32_t *bias, const int n, const int8_t *x, int32_t *acc)
{
    sums_t sums[VECTORS][TILE];
    for (int v = 0; v < VECTORS; v++) {
        for (int s = 0; s < TILE; s++) {
            sums[v][s] = LOADED(bias + v * LANES);
        }
    }
    for (int i = 0; i < n; i += 4 * UNROLLED, w += UNROLLED * WIDE) {
        for (int u = 0; u < UNROLLED; u++) {
            for (int s = 0; s < TILE; s++) {
                int32_t four;
                memcpy(&four, x + s * n + i + 4 * u, sizeof four);
                const sums_t codes = EVERYWHERE(four);
                for (int v = 0; v < VECTORS; v++) {
                    sums[v][s] = ADDED(sums[v][s], codes, LOADED(w + u * WIDE + v * LANES * n));
                }
            }
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        for (int s = 0; s < TILE; s++) {
            STORE(acc + s * SUMS + v * LANES, sums[v][s]);
        }
    }
}

/* dense() of each of `streams`, whose inputs and sums lie one behind the other; the last of them one by one. */
static inline void dense_of_each(const packed_t *of, const int n, const int8_t *x, int streams, int32_t *acc)
{
    const int tiled = streams / TILE * TILE, outputs = of->layer->outputs;
    for (int o = 0; tiled > 0 && o < outputs; o += VECTORS * LANES) {
        for (int i = 0; i < tiled; i += TILE) {
            tile(of->weight + o * n, of->bias + o, n, x + i * n, acc + i * SUMS + o);
        }
    }
    for (int o = 0; o < outputs; o += 4) {
        for (int i = tiled; i < streams; i++) {
            four_rows(of->layer->weight + o * n, of->layer->bias + o, n, x + i * n, acc + i * SUMS + o);
        }
    }
}
#else
#define SUMS PADDED(MAX_OUTPUTS)
typedef struct {
    const layer_t *layer;
} packed_t;
static packed_t dilated[LEADLIFT_DECODER_BLOCKS], pointwise[LEADLIFT_DECODER_BLOCKS], head;

/* Nothing is packed where one kernel serves one stream and many. */
void leadlift_engine_open(void)
{
    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        dilated[k].layer = &BLOCKS[k].dilated;
        pointwise[k].layer = &BLOCKS[k].pointwise;
    }
    head.layer = &HEAD;
}

static inline void dense_of_each(const packed_t *of, const int n, const int8_t *x, int streams, int32_t *acc)
{
    for (int i = 0; i < streams; i++) {
        dense(of->layer, n, x + i * n, acc + i * SUMS);
    }
}

#endif

/* What lies between two layers, of each stream. */
typedef struct {
    int16_t seen[TOGETHER][SEEN] ALIGNED;
    int8_t taps[TOGETHER][PADDED(TAPS * CHANNELS)] ALIGNED;
    int8_t x[TOGETHER][PADDED(CHANNELS)] ALIGNED, inner[TOGETHER][PADDED(CHANNELS)] ALIGNED;
    int32_t acc[TOGETHER][SUMS] ALIGNED;
} between_t;

/* The next frame of each of some streams, at most TOGETHER: leadlift_decoder_step, layer by layer. */
static void step_together(leadlift_decoder_t *const *decoders, int streams, float (*hop)[ROWS * HOP],
                          float (*predicted)[OUTPUTS * HOP], float (*known)[ROWS], float (*residual)[OUTPUTS * HOP],
                          float (*sigma)[SIGMAS * HOP])
{
    between_t between;
    memset(&between, 0, sizeof between);
    for (int i = 0; i < streams; i++) {
        see(hop[i], predicted[i], known[i], between.seen[i]);
        dense_wide(&STEM, SEEN, between.seen[i], between.acc[i]);
        to_codes(&STEM, between.acc[i], between.x[i]);
    }
    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        const block_t *block = &BLOCKS[k];
        for (int i = 0; i < streams; i++) {
            remember(decoders[i], k, between.x[i], between.taps[i]);
        }
        dense_of_each(&dilated[k], PADDED(TAPS * CHANNELS), between.taps[0], streams, between.acc[0]);
        for (int i = 0; i < streams; i++) {
            to_codes(&block->dilated, between.acc[i], between.inner[i]);
        }
        dense_of_each(&pointwise[k], PADDED(CHANNELS), between.inner[0], streams, between.acc[0]);
        for (int i = 0; i < streams; i++) {
            add_branch(block, between.acc[i], between.x[i]);
        }
    }
    dense_of_each(&head, PADDED(CHANNELS), between.x[0], streams, between.acc[0]);
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
