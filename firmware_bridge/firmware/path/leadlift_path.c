/* leadlift_path.c: a stream from samples to twelve leads: anchor, decoder, identities, sigma; see leadlift_path.h. */
#include "leadlift_conditioning.h"

#include <stddef.h>

#if LEADLIFT_DECODER_ROWS != 12 || LEADLIFT_DECODER_OUTPUTS != 8 || LEADLIFT_DECODER_SIGMAS != 12 || \
    !LEADLIFT_DECODER_MASK
#error "leadlift_path needs the decoder of a bundle of any leads, with all rows and the mask"
#endif

#define LIMB_ROWS 6
#define FIRST_CHEST 6
#define CHEST_OUTPUT 2 /* the decoder gives I, II, V1 to V6 */
#define BOTH_I_II 3u

typedef float rows_t[LEADLIFT_DECODER_ROWS][HOP]; /* leads as the decoder takes them */

/* What follows from the limb leads that are on. */
typedef struct {
    uint8_t one, other;         /* the first two of them, as measured leads */
    uint8_t sigma_of[LIMB_ROWS]; /* whose sigma a lead has, ... */
    float sigma[LIMB_ROWS];      /* ... times this; 0 where it is known */
    float decoded[LIMB_ROWS][2]; /* a lead from the decoder's I and II, ... */
    float measured[LIMB_ROWS][2]; /* ... and from `one` and `other` */
} limb_t;

#include "leadlift_path_leads.h"

/* e^x for x <= 0, to two units in the last place. */
static float exponential(float x)
{
    if (x < -87.0f) {
        return 0.0f;
    }
    const int32_t k = (int32_t)(x * 1.44269504f - 0.5f);
    const float r = (x - (float)k * 0.693359375f) + (float)k * 2.12194440e-4f; /* ln 2 in two parts */
    float sum = 1.0f / 5040.0f;
    sum = sum * r + 1.0f / 720.0f;
    sum = sum * r + 1.0f / 120.0f;
    sum = sum * r + 1.0f / 24.0f;
    sum = sum * r + 1.0f / 6.0f;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    return sum * float_of((uint32_t)(k + 127) << 23);
}

/* What follows from the leads that are on. */

static const limb_t *limb_of(uint32_t on)
{
    uint32_t which = 0;
    for (int i = 0; i < LEADLIFT_PATH_LIMB_LEADS; i++) {
        which |= (uint32_t)is(on, LIMB_LEAD[i]) << i;
    }
    return &LIMB[which];
}

/* The anchor of least squares and the mask of these leads. */
static void take_leads(leadlift_path_t *path, uint16_t on)
{
    const uint32_t known = KNOWN[on];
    const float *column = &ANCHORS[ANCHOR_AT[on]];
    path->on = on;
    memset(path->anchor, 0, sizeof path->anchor);
    for (int row = 0; row < LEADLIFT_DECODER_ROWS; row++) {
        path->mask[row] = is(known, row) ? 1.0f : 0.0f;
        const bool follows = row >= 2 && row < FIRST_CHEST && (known & BOTH_I_II) == BOTH_I_II;
        if (is(known, row) && !follows) {
            for (int o = 0; o < LEADLIFT_DECODER_OUTPUTS; o++) {
                path->anchor[o * LEADLIFT_DECODER_ROWS + row] = *column++;
            }
        }
    }
}

/* Measured leads as the decoder takes them: 0 where off, the limb leads that follow from two completed. */
static void complete(const leadlift_path_t *path, const limb_t *limb, leads_t leads, rows_t rows)
{
    uint32_t given = 0;
    memset(rows, 0, sizeof(rows_t));
    for (int lead = 0; lead < LEADS; lead++) {
        if (is(path->on, lead)) {
            memcpy(rows[ROW[lead]], leads[lead], sizeof rows[0]);
            given |= 1u << ROW[lead];
        }
    }
    const uint32_t derived = KNOWN[path->on] & ~given;
    for (int row = 0; row < LIMB_ROWS; row++) {
        if (is(derived, row)) {
            const float *of = limb->measured[row];
            for (int s = 0; s < HOP; s++) {
                rows[row][s] = of[0] * leads[limb->one][s] + of[1] * leads[limb->other][s];
            }
        }
    }
}

static void identities(const leadlift_path_t *path, const limb_t *limb, leads_t conditioned,
                       float decoded[][HOP], leadlift_twelve_t *out)
{
    for (int row = 0; row < LIMB_ROWS; row++) {
        const float *d = limb->decoded[row], *m = limb->measured[row];
        for (int s = 0; s < HOP; s++) {
            out->ecg_mv[row][s] = d[0] * decoded[0][s] + d[1] * decoded[1][s] +
                                  m[0] * conditioned[limb->one][s] + m[1] * conditioned[limb->other][s];
        }
    }
    memcpy(out->ecg_mv[FIRST_CHEST], decoded[CHEST_OUTPUT], sizeof out->ecg_mv[0] * 6);
    for (int lead = 0; lead < LEADS; lead++) {
        if (is(path->on, lead)) {
            memcpy(out->ecg_mv[ROW[lead]], conditioned[lead], sizeof out->ecg_mv[0]);
        }
    }
}

#if LEADLIFT_PATH_WIDENS
/* To two units in the last place, for 0 and what a sigma may be. */
static float square_root(float x)
{
    if (!(x > 1e-30f)) {
        return 0.0f;
    }
    float root = float_of((bits_of(x) >> 1) + 0x1FC00000u); /* half the exponent: within 6 % */
    for (int i = 0; i < 3; i++) {
        root = 0.5f * (root + x / root);
    }
    return root;
}

/* A lead of what the decoder made of the residual branch's band, by Einthoven and Goldberger. */
static float lead_of(float made[][HOP], int row, int s)
{
    static const float FROM_I_II[LIMB_ROWS][2] = {{1, 0}, {0, 1}, {-1, 1}, {-0.5f, -0.5f}, {1, -0.5f}, {-0.5f, 1}};
    if (row >= FIRST_CHEST) {
        return made[row - FIRST_CHEST + CHEST_OUTPUT][s];
    }
    return FROM_I_II[row][0] * made[0][s] + FROM_I_II[row][1] * made[1][s];
}
#endif

/* `made` is the decoder's, above the corner of the residual branch: an error is a share of it, besides. */
static void sigmas(const leadlift_path_t *path, const limb_t *limb, float log_sigma[][HOP], float made[][HOP],
                   leadlift_twelve_t *out)
{
#if !LEADLIFT_PATH_WIDENS
    (void)made;
#endif
    for (int row = 0; row < LEADLIFT_PATH_TWELVE; row++) {
        const bool is_limb = row < LIMB_ROWS;
        const int source = is_limb ? limb->sigma_of[row] : row;
        const float *of = log_sigma[source];
        const float scale = is_limb ? limb->sigma[row] : 1.0f;
        for (int s = 0; s < HOP; s++) {
            /* A decoder that is less sure than the size of a QRS has no idea. */
            const float bounded = of[s] < LEADLIFT_PATH_MAX_LOG_SIGMA ? of[s] : LEADLIFT_PATH_MAX_LOG_SIGMA;
            if (is(KNOWN[path->on], row)) {
                out->sigma_mv[row][s] = 0.0f;
                continue;
            }
            float sigma = exponential(bounded);
#if LEADLIFT_PATH_WIDENS
            const float share = LEADLIFT_PATH_SIGMA_AMPLITUDE * lead_of(made, source, s);
            sigma = square_root(sigma * sigma + share * share);
#endif
            out->sigma_mv[row][s] = scale * sigma;
        }
    }
}

static void blank(uint32_t rows, leadlift_twelve_t *out)
{
    const float nothing = float_of(0x7FC00000u); /* a quiet NaN */
    for (int row = 0; row < LEADLIFT_PATH_TWELVE; row++) {
        for (int s = 0; s < HOP && is(rows, row); s++) {
            out->ecg_mv[row][s] = out->sigma_mv[row][s] = nothing;
        }
    }
}

/* A measured lead has its own bits, one derived from measured limb leads those of them, any other those of all. */
static void spread(uint8_t known[][HOP], leadlift_twelve_t *out)
{
    for (int s = 0; s < HOP; s++) {
        uint8_t all = 0, limb = 0;
        for (int lead = 0; lead < LEADS; lead++) {
            const uint8_t bits = known[lead][s];
            all = (uint8_t)(all | bits);
            limb = (uint8_t)(limb | (ROW[lead] < FIRST_CHEST ? bits : 0u));
        }
        for (int row = 0; row < LEADLIFT_PATH_TWELVE; row++) {
            out->quality[row][s] = is(LEADLIFT_PATH_DERIVED_ROWS, row) ? limb : all;
        }
        for (int lead = 0; lead < LEADS; lead++) {
            out->quality[ROW[lead]][s] = known[lead][s];
        }
    }
}

/* Adds what the path knows to the quality bits of the measured leads. */
static void flag(const leadlift_path_t *path, const uint8_t *missing, uint16_t noisy, uint16_t settling,
                 uint8_t known[][HOP])
{
    uint8_t missing_in_all = 0xFFu;
    for (int lead = 0; lead < LEADS; lead++) {
        missing_in_all &= missing[lead];
    }
    for (int lead = 0; lead < LEADS; lead++) {
        const bool off = is(path->off, lead);
        const unsigned of_hop = (off ? LEADLIFT_QUALITY_LEAD_OFF : 0u) |
                                (is(noisy, lead) ? LEADLIFT_QUALITY_NOISY : 0u) |
                                (is(settling, lead) ? LEADLIFT_QUALITY_SETTLING : 0u);
        for (int s = 0; s < HOP; s++) {
            const unsigned held = is(missing[lead], s) && !off ? LEADLIFT_QUALITY_INTERPOLATED : 0u;
            const unsigned gap = is(missing_in_all, s) ? LEADLIFT_QUALITY_GAP : 0u;
            known[lead][s] = (uint8_t)(known[lead][s] | of_hop | held | gap);
        }
    }
}

/* Conditioning, decoder and identities of a hop in which some lead is on; the leads that settle. */
static uint16_t decode(leadlift_path_t *path, leads_t ecg, leadlift_twelve_t *out)
{
    leads_t conditioned, residual;
    rows_t seen;
    float decoded[LEADLIFT_DECODER_OUTPUTS][HOP], predicted[LEADLIFT_DECODER_OUTPUTS][HOP];
    float learned[LEADLIFT_DECODER_OUTPUTS][HOP], log_sigma[LEADLIFT_DECODER_SIGMAS][HOP];
    const uint16_t on = (uint16_t)(ALL & ~path->off);
    const uint16_t settling = leadlift_condition(path, ecg, conditioned, residual);
    if (on != path->on) {
        take_leads(path, on);
    }
    const limb_t *limb = limb_of(on);
    complete(path, limb, residual, seen);
    leadlift_decoder_predict(seen[0], path->anchor, predicted[0]);
    leadlift_decoder_step(&path->decoder, seen[0], predicted[0], path->mask, learned[0], log_sigma[0]);
    /* What lies below the residual branch's band the anchor maps alone. */
    for (int lead = 0; lead < LEADS; lead++) {
        for (int s = 0; s < HOP; s++) {
            residual[lead][s] = conditioned[lead][s] - residual[lead][s];
        }
    }
    complete(path, limb, residual, seen);
    leadlift_decoder_predict(seen[0], path->anchor, decoded[0]);
    for (int o = 0; o < LEADLIFT_DECODER_OUTPUTS; o++) {
        for (int s = 0; s < HOP; s++) {
            learned[o][s] += predicted[o][s];
            decoded[o][s] += learned[o][s];
        }
    }
    identities(path, limb, conditioned, decoded, out);
    sigmas(path, limb, log_sigma, learned, out);
    blank(BLANK[on], out);
    return settling;
}

static void restart_stream(leadlift_path_t *path)
{
    const double mv_per_count = path->mv_per_count;
    const uint32_t next_sample = path->next_sample;
    const int32_t rail = path->rail;
    memset(path, 0, sizeof *path);
    path->mv_per_count = mv_per_count;
    path->next_sample = next_sample;
    path->rail = rail;
    for (int lead = 0; lead < LEADS; lead++) { /* off until its first sample */
        path->missing_for[lead] = LEADLIFT_PATH_MAX_FILL;
    }
    leadlift_decoder_reset(&path->decoder);
    leadlift_forget_signal(path);
}

void leadlift_path_begin(leadlift_path_t *path, float nanovolts_per_lsb, uint8_t sample_bits)
{
    path->mv_per_count = (double)nanovolts_per_lsb * 1e-6;
    path->rail = (int32_t)1 << (sample_bits - 1u);
    path->next_sample = 0;
    restart_stream(path);
}

void leadlift_path_skip(leadlift_path_t *path, uint32_t n_samples)
{
    path->next_sample += n_samples;
    restart_stream(path);
}

void leadlift_path_hop(leadlift_path_t *path, const float *ecg_mv, const uint8_t *quality, leadlift_twelve_t *out)
{
    leads_t ecg;
    uint8_t known[LEADS][HOP], missing[LEADS];
    memcpy(ecg, ecg_mv, sizeof ecg);
    for (int lead = 0; lead < LEADS; lead++) {
        missing[lead] = 0;
        for (int s = 0; s < HOP; s++) {
            missing[lead] |= (uint8_t)(!finite(ecg[lead][s]) << s);
            known[lead][s] = quality != NULL ? quality[lead * HOP + s] : 0u;
        }
    }
    const uint16_t were_off = path->off, noisy = path->noisy;
    uint16_t settling = 0;
    leadlift_follow_presence(path, ecg, missing);
    leadlift_follow_noise(path, ecg);
    if (path->off == ALL) {
        leadlift_forget_signal(path);
        leadlift_decoder_reset(&path->decoder);
        blank(0xFFFu, out);
    } else {
        path->restart |= (uint16_t)(were_off & ~path->off);
        settling = decode(path, ecg, out);
    }
    flag(path, missing, noisy, settling, known);
    spread(known, out);
    out->first_sample = path->next_sample;
    path->next_sample += HOP;
}

void leadlift_path_counts(leadlift_path_t *path, const int32_t *counts, uint8_t lead_off, leadlift_twelve_t *out)
{
    float ecg[LEADS][HOP];
    uint8_t quality[LEADS][HOP];
    for (int s = 0; s < HOP; s++) {
        for (int lead = 0; lead < LEADS; lead++) {
            const int32_t code = *counts++;
            const bool clipped = code <= -path->rail || code >= path->rail - 1;
            ecg[lead][s] = is(lead_off, lead) ? float_of(0x7FC00000u) : (float)((double)code * path->mv_per_count);
            quality[lead][s] = clipped ? LEADLIFT_QUALITY_CLIPPED : 0u;
        }
    }
    leadlift_path_hop(path, ecg[0], quality[0], out);
}
