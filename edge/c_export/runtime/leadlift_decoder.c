/* leadlift_decoder.c: one hop of the INT8 decoder, the same for every bundle; see leadlift_decoder.h. */
#include "leadlift_decoder.h"

#if defined(__GNUC__)
#if defined(__AVX512F__)
#define ALIGNED __attribute__((aligned(64))) /* a load that crosses a cache line costs two */
#else
#define ALIGNED __attribute__((aligned(32)))
#endif
#define memcpy __builtin_memcpy /* a compiler for boards may come without <string.h> */
#define memset __builtin_memset
#else
#include <string.h>
#define ALIGNED
#endif

#define CHANNELS LEADLIFT_DECODER_CHANNELS
#define TAPS LEADLIFT_DECODER_TAPS
#define HOP LEADLIFT_DECODER_HOP
#define ROWS LEADLIFT_DECODER_ROWS
#define OUTPUTS LEADLIFT_DECODER_OUTPUTS
#define PADDED(n) (((n) + 31) / 32 * 32) /* inputs of a layer: what the widest kernel takes at once */
#define SEEN LEADLIFT_DECODER_SEEN
#define RESULTS (LEADLIFT_DECODER_PREDICTED_FLOATS + LEADLIFT_DECODER_SIGMA_FLOATS)
#define MAX_OUTPUTS ((RESULTS > CHANNELS ? RESULTS : CHANNELS) + 3)
#define HIGHEST 127 /* code after a ReLU: there training and every engine saturate */

/* Rows of weights, inputs padded with zeros; outputs are a multiple of four. */
typedef struct {
    const int8_t *weight;
    const int32_t *bias;
    const float *scale; /* from a sum to a code of the next layer */
    int outputs;
} layer_t;

typedef struct {
    layer_t dilated, pointwise;
    int32_t of_skip, of_branch, rounding; /* code = (skip * of_skip + branch * of_branch + rounding) >> shift */
    uint8_t shift;
    uint16_t dilation;
    uint32_t offset; /* of its ring within the history */
} block_t;

#include "leadlift_decoder_tables.h"

#if CHANNELS % 16 != 0
#error "the kernels take channels in sixteens"
#endif

/*
 * Kernels: acc[o] = bias[o] + sum of x[i] * weight[o][i] over `n` inputs, a multiple of 32; four rows at once.
 * Codes are 0..127 and weights have 8 bits, and the generator proved that no sum reaches 2^24: exact in int32 and
 * float. What the stem reads has up to 9 bits, with a sign: it has a kernel of its own.
 */
#if defined(__ARM_FEATURE_MVE) && !defined(LEADLIFT_DECODER_PLAIN)
#include <arm_mve.h>
#define KERNEL "mve"
static inline int32_t row_wide(const int8_t *w, const int n, const int16_t *x, int32_t sum)
{
    for (int i = 0; i < n; i += 8) {
        sum = vmladavaq_s16(sum, vldrhq_s16(x + i), vldrbq_s16(w + i));
    }
    return sum;
}
static inline void dense(const layer_t *layer, const int n, const int8_t *x, int32_t *acc)
{
    const int8_t *w = layer->weight;
    for (int o = 0; o < layer->outputs; o += 4, w += 3 * n) {
        int32_t a = layer->bias[o], b = layer->bias[o + 1], c = layer->bias[o + 2], d = layer->bias[o + 3];
        for (int i = 0; i < n; i += 16, w += 16) {
            const int8x16_t v = vldrbq_s8(x + i);
            a = vmladavaq_s8(a, v, vldrbq_s8(w));
            b = vmladavaq_s8(b, v, vldrbq_s8(w + n));
            c = vmladavaq_s8(c, v, vldrbq_s8(w + 2 * n));
            d = vmladavaq_s8(d, v, vldrbq_s8(w + 3 * n));
        }
        acc[o] = a, acc[o + 1] = b, acc[o + 2] = c, acc[o + 3] = d;
    }
}
#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(LEADLIFT_DECODER_PLAIN)
#include <arm_acle.h>
#define KERNEL "arm dsp"
static inline uint32_t word(const void *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}
static inline int16x2_t odd_bytes(uint32_t four) /* gcc 12 has no __ror to say it without assembly */
{
    int16x2_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four));
    return pair;
}
static inline int32_t plus_four(int32_t acc, uint32_t w, int16x2_t even, int16x2_t odd)
{
    return __smlad(odd_bytes(w), odd, __smlad(__sxtb16((int8x4_t)w), even, acc));
}
static inline int32_t row_wide(const int8_t *w, const int n, const int16_t *x, int32_t sum)
{
    for (int i = 0; i < n; i += 4) {
        const uint32_t low = word(x + i), high = word(x + i + 2);
        const uint32_t even = (low & 0xFFFFu) | high << 16, odd = low >> 16 | (high & 0xFFFF0000u);
        sum = plus_four(sum, word(w + i), (int16x2_t)even, (int16x2_t)odd);
    }
    return sum;
}
static inline void dense(const layer_t *layer, const int n, const int8_t *x, int32_t *acc)
{
    const int8_t *w = layer->weight;
    for (int o = 0; o < layer->outputs; o += 4, w += 3 * n) {
        int32_t a = layer->bias[o], b = layer->bias[o + 1], c = layer->bias[o + 2], d = layer->bias[o + 3];
        for (const int8_t *v = x; v < x + n; v += 4, w += 4) {
            const uint32_t four = word(v);
            const int16x2_t even = __sxtb16((int8x4_t)four), odd = odd_bytes(four);
            a = plus_four(a, word(w), even, odd);
            b = plus_four(b, word(w + n), even, odd);
            c = plus_four(c, word(w + 2 * n), even, odd);
            d = plus_four(d, word(w + 3 * n), even, odd);
        }
        acc[o] = a, acc[o + 1] = b, acc[o + 2] = c, acc[o + 3] = d;
    }
}
#else
#if defined(__AVX2__) && !defined(LEADLIFT_DECODER_PLAIN)
#include <immintrin.h>
static inline __m256i bytes(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define KERNEL "avx512 vnni"
#define WIDE 64
typedef __m512i sums_t;
static inline sums_t plus(sums_t acc, const int8_t *x, const int8_t *w)
{
    return _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(x), _mm512_loadu_si512(w));
}
static inline sums_t plus_half(sums_t acc, const int8_t *x, const int8_t *w) /* the last 32 inputs */
{
    return _mm512_dpbusd_epi32(acc, _mm512_zextsi256_si512(bytes(x)), _mm512_zextsi256_si512(bytes(w)));
}
static inline sums_t pairs(sums_t a, sums_t b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
static inline __m128i summed(sums_t a, sums_t b, sums_t c, sums_t d)
{
    const __m512i ab = pairs(a, b), cd = pairs(c, d);
    const __m512i rows = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(rows), _mm512_extracti64x4_epi64(rows, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}
#define ZERO _mm512_setzero_si512()
#else
#define WIDE 32
typedef __m256i sums_t;
#if defined(__AVXVNNI__)
#define KERNEL "avx vnni"
#define PRODUCTS(acc, x, w) _mm256_dpbusd_avx_epi32(acc, x, w)
#else
#define KERNEL "avx2" /* codes 0..127, weights -127..127: two products fit the 16 bits that maddubs saturates at */
#define PRODUCTS(acc, x, w) \
    _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)))
#endif
static inline sums_t plus(sums_t acc, const int8_t *x, const int8_t *w) { return PRODUCTS(acc, bytes(x), bytes(w)); }
#define plus_half plus /* never called: `n` is a multiple of 32 */
static inline sums_t pairs(sums_t a, sums_t b)
{
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}
static inline __m128i summed(sums_t a, sums_t b, sums_t c, sums_t d)
{
    const __m256i ab = pairs(a, b), cd = pairs(c, d);
    const __m256i rows = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    return _mm_add_epi32(_mm256_castsi256_si128(rows), _mm256_extracti128_si256(rows, 1));
}
#define ZERO _mm256_setzero_si256()
#endif
static inline void four_rows(const int8_t *w, const int32_t *bias, const int n, const int8_t *x, int32_t *acc)
{
    const int whole = n / WIDE * WIDE;
    sums_t a = ZERO, b = a, c = a, d = a;
    for (int i = 0; i < whole; i += WIDE) {
        a = plus(a, x + i, w + i);
        b = plus(b, x + i, w + n + i);
        c = plus(c, x + i, w + 2 * n + i);
        d = plus(d, x + i, w + 3 * n + i);
    }
    if (whole < n) {
        a = plus_half(a, x + whole, w + whole);
        b = plus_half(b, x + whole, w + n + whole);
        c = plus_half(c, x + whole, w + 2 * n + whole);
        d = plus_half(d, x + whole, w + 3 * n + whole);
    }
    const __m128i sums = summed(a, b, c, d);
    _mm_storeu_si128((__m128i *)acc, _mm_add_epi32(sums, _mm_loadu_si128((const __m128i *)bias)));
}
#else
#define KERNEL "plain"
static inline void four_rows(const int8_t *w, const int32_t *bias, const int n, const int8_t *x, int32_t *acc)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (int i = 0; i < n; i++) {
        a += (int16_t)x[i] * (int16_t)w[i];
        b += (int16_t)x[i] * (int16_t)w[i + n];
        c += (int16_t)x[i] * (int16_t)w[i + 2 * n];
        d += (int16_t)x[i] * (int16_t)w[i + 3 * n];
    }
    acc[0] = a + bias[0], acc[1] = b + bias[1], acc[2] = c + bias[2], acc[3] = d + bias[3];
}
#endif
static inline void dense(const layer_t *layer, const int n, const int8_t *x, int32_t *acc)
{
    for (int o = 0; o < layer->outputs; o += 4) {
        four_rows(layer->weight + o * n, layer->bias + o, n, x, acc + o);
    }
}
static inline int32_t row_wide(const int8_t *w, const int n, const int16_t *x, int32_t sum)
{
    for (int i = 0; i < n; i++) { /* 16 by 16 bits into 32: compilers know a vector instruction for it */
        sum += (int32_t)x[i] * (int16_t)w[i];
    }
    return sum;
}
#endif
static inline void dense_wide(const layer_t *layer, const int n, const int16_t *x, int32_t *acc)
{
    for (int o = 0; o < layer->outputs; o++) {
        acc[o] = row_wide(layer->weight + o * n, n, x, layer->bias[o]);
    }
}

static void of_history(const layer_t *layer, const int8_t *x, int32_t *acc) { dense(layer, PADDED(TAPS * CHANNELS), x, acc); }
static void of_channels(const layer_t *layer, const int8_t *x, int32_t *acc) { dense(layer, PADDED(CHANNELS), x, acc); }

/* Half to even for |v| < 2^22, whatever the rounding library: the sum has no bits for the fraction. */
static inline int32_t rounded(float v)
{
    union {
        float f;
        int32_t i;
    } sum;
    sum.f = v + 12582912.0f;
    return sum.i - 0x4B400000;
}

static inline float between(float v, float low, float high)
{
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* As ONNX Runtime requantises: a float32 product, the limits, half to even. */
static inline int32_t code_of(const layer_t *layer, int o, int32_t acc, float low)
{
    return rounded(between((float)acc * layer->scale[o], low, (float)HIGHEST));
}

static void to_codes(const layer_t *layer, const int32_t *acc, int8_t *x)
{
    for (int o = 0; o < CHANNELS; o++) {
        x[o] = (int8_t)code_of(layer, o, acc[o], 0.0f);
    }
}

/* The residual add, in integers that the generator proved against ONNX Runtime for every pair of codes. */
static void add_branch(const block_t *block, const int32_t *acc, int8_t *x)
{
    for (int o = 0; o < CHANNELS; o++) {
        const int32_t branch = code_of(&block->pointwise, o, acc[o], -128.0f);
        int32_t sum = x[o] * block->of_skip + branch * block->of_branch + block->rounding;
        sum = (sum < 0 ? 0 : sum) >> block->shift;
        x[o] = (int8_t)(sum > HIGHEST ? HIGHEST : sum);
    }
}

/* The frames that a dilated convolution reads, oldest first; then the newest takes the place of the oldest. */
static void remember(leadlift_decoder_t *decoder, int k, const int8_t *newest, int8_t *taps)
{
    const block_t *block = &BLOCKS[k];
    const uint32_t frames = (TAPS - 1u) * block->dilation;
    int8_t *ring = decoder->history + block->offset;
    uint32_t at = decoder->at[k];
    int8_t *oldest = ring + at * CHANNELS;
    for (int tap = 0; tap < TAPS - 1; tap++, taps += CHANNELS) {
        memcpy(taps, ring + at * CHANNELS, CHANNELS);
        at += block->dilation;
        at -= at < frames ? 0u : frames;
    }
    memcpy(taps, newest, CHANNELS);
    memcpy(oldest, newest, CHANNELS);
    at = decoder->at[k] + 1u;
    decoder->at[k] = (uint16_t)(at < frames ? at : 0u);
}

static int16_t seen_code(float value)
{
    const float v = value / SEEN_SCALE;
    return (int16_t)(v != v ? 0 : rounded(between(v, SEEN_LOWEST, SEEN_HIGHEST)));
}

/* What the stem reads; the rest of `seen` is zero. */
static void see(const float *ecg, const float *predicted, const float *mask, int16_t *seen)
{
    for (int i = 0; i < LEADLIFT_DECODER_ECG_FLOATS; i++) {
        *seen++ = seen_code(ecg[i]);
    }
    for (int i = 0; i < LEADLIFT_DECODER_PREDICTED_FLOATS; i++) {
        *seen++ = seen_code(predicted[i]);
    }
    for (int i = 0; i < (LEADLIFT_DECODER_MASK ? ROWS : 0); i++) {
        *seen++ = seen_code(mask[i]);
    }
}

static void results(const int32_t *acc, float *residual, float *log_sigma)
{
    for (int o = 0; o < RESULTS; o++) {
        const float value = (float)acc[o] * HEAD.scale[o] + OUTPUT_BIAS[o];
        if (o < LEADLIFT_DECODER_PREDICTED_FLOATS) {
            residual[o] = value;
        } else {
            log_sigma[o - LEADLIFT_DECODER_PREDICTED_FLOATS] = value;
        }
    }
}

void leadlift_decoder_step(leadlift_decoder_t *decoder, const float *ecg, const float *predicted, const float *mask,
                           float *residual, float *log_sigma)
{
    int8_t taps[PADDED(TAPS * CHANNELS)] ALIGNED, inner[PADDED(CHANNELS)] ALIGNED, x[PADDED(CHANNELS)] ALIGNED;
    int16_t seen[SEEN] ALIGNED;
    int32_t acc[MAX_OUTPUTS] ALIGNED;

    memset(taps, 0, sizeof taps);
    memset(inner, 0, sizeof inner);
    memset(x, 0, sizeof x);
    memset(seen, 0, sizeof seen);
    see(ecg, predicted, mask, seen);
    dense_wide(&STEM, SEEN, seen, acc);
    to_codes(&STEM, acc, x);

    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        const block_t *block = &BLOCKS[k];
        remember(decoder, k, x, taps);
        of_history(&block->dilated, taps, acc);
        to_codes(&block->dilated, acc, inner);
        of_channels(&block->pointwise, inner, acc);
        add_branch(block, acc, x);
    }

    of_channels(&HEAD, x, acc);
    results(acc, residual, log_sigma);
}

void leadlift_decoder_predict(const float *ecg, const float *anchor, float *predicted)
{
    for (int o = 0; o < OUTPUTS; o++, anchor += ROWS) {
        for (int s = 0; s < HOP; s++) {
            float sum = 0.0f;
            for (int first = 0; first < ROWS; first += 4) { /* fours are summed apart */
                float part = anchor[first] * ecg[first * HOP + s];
                for (int row = first + 1; row < first + 4 && row < ROWS; row++) {
                    part += anchor[row] * ecg[row * HOP + s];
                }
                sum = first == 0 ? part : sum + part;
            }
            *predicted++ = sum;
        }
    }
}

void leadlift_decoder_reset(leadlift_decoder_t *decoder) { memset(decoder, 0, sizeof *decoder); }

void leadlift_decoder_get_state(const leadlift_decoder_t *decoder, uint8_t *codes)
{
    for (int k = 0; k < LEADLIFT_DECODER_BLOCKS; k++) {
        const int8_t *ring = decoder->history + BLOCKS[k].offset;
        const unsigned newer = (unsigned)decoder->at[k] * (unsigned)CHANNELS;
        const unsigned whole = (unsigned)((TAPS - 1u) * BLOCKS[k].dilation * CHANNELS);
        memcpy(codes, ring + newer, whole - newer);
        memcpy(codes + (whole - newer), ring, newer);
        codes += whole;
    }
}

void leadlift_decoder_set_state(leadlift_decoder_t *decoder, const uint8_t *codes)
{
    memset(decoder->at, 0, sizeof decoder->at);
    memcpy(decoder->history, codes, sizeof decoder->history);
}

const char *leadlift_decoder_kernel(void) { return KERNEL; }
