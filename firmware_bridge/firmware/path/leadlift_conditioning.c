/* leadlift_conditioning.c: gaps, leads that are off, noise, filters, steps; see leadlift_conditioning.h. */
#include "leadlift_conditioning.h"

#define SECTIONS LEADLIFT_PATH_SECTIONS
#define BLOCK_HOPS LEADLIFT_PATH_BLOCK_HOPS

typedef struct {
    double b0, b1, b2, a1, a2; /* a0 = 1 */
} section_t;

#include "leadlift_path_filters.h"

/* Which leads are there: short gaps held, longer ones and flat lines off. */

/* A lead that is lost (missing for over 100 ms, or constant for 2 s) is off until the first hop that is whole. */
void leadlift_follow_presence(leadlift_path_t *path, leads_t ecg, const uint8_t *missing)
{
    for (int lead = 0; lead < LEADS; lead++) {
        const float before = path->value[lead];
        float value = before; /* 0 before the first sample */
        bool lost = false;
        for (int s = 0; s < HOP; s++) {
            if (is(missing[lead], s)) {
                ecg[lead][s] = value;
                if (path->missing_for[lead] <= LEADLIFT_PATH_MAX_FILL) {
                    path->missing_for[lead]++;
                }
                lost = lost || path->missing_for[lead] > LEADLIFT_PATH_MAX_FILL;
            } else {
                value = ecg[lead][s];
                path->missing_for[lead] = 0;
            }
        }
        /* A flat line is constant at the ends of hops; that is all that needs looking at. */
        if (path->has_value && value == before) {
            if (path->flat_for[lead] < LEADLIFT_PATH_FLAT_HOPS) {
                path->flat_for[lead]++;
            }
        } else {
            path->flat_for[lead] = 0;
        }
        path->value[lead] = value;
        lost = lost || path->flat_for[lead] >= LEADLIFT_PATH_FLAT_HOPS;
        if (lost) {
            path->off |= (uint16_t)(1u << lead);
        } else if (missing[lead] == 0u) { /* whole again */
            path->off &= (uint16_t)~(1u << lead);
        }
    }
    path->has_value = 1;
}

void leadlift_follow_noise(leadlift_path_t *path, leads_t ecg)
{
    for (int lead = 0; lead < LEADS; lead++) {
        const float *x = ecg[lead];
        float bend = 0.0f;
        for (int s = 2; s < HOP; s++) {
            const float second = x[s] - 2.0f * x[s - 1] + x[s - 2];
            bend += second < 0.0f ? -second : second;
        }
        if (bend > LEADLIFT_PATH_NOISY_BEND_MV) {
            path->rough[lead][path->rough_at]++;
        }
    }
    if (++path->noise_hops < LEADLIFT_PATH_NOISY_BLOCK_HOPS) {
        return;
    }
    path->noise_hops = 0;
    path->rough_at = (uint8_t)((path->rough_at + 1u) % LEADLIFT_PATH_NOISY_WINDOW);
    path->noisy = 0;
    for (int lead = 0; lead < LEADS; lead++) {
        unsigned recent = 0;
        for (int block = 0; block < LEADLIFT_PATH_NOISY_WINDOW; block++) {
            recent += path->rough[lead][block];
        }
        if (recent > LEADLIFT_PATH_NOISY_MOST) {
            path->noisy |= (uint16_t)(1u << lead);
        }
        path->rough[lead][path->rough_at] = 0;
    }
}

/* The filters. */

void leadlift_forget_signal(leadlift_path_t *path)
{
    path->restart = ALL;
    path->block_hops = 0;
    memset(path->settling, 0, sizeof path->settling);
    memset(path->beyond, 0, sizeof path->beyond);
}

/* Leads that start anew: a new block of hops, their filters in the steady state of the hop's first sample. */
static void restart_filters(leadlift_path_t *path, leads_t ecg)
{
    path->block_hops = 0;
    for (int lead = 0; lead < LEADS; lead++) {
        if (!is(path->restart, lead)) {
            continue;
        }
        for (int i = 0; i < SECTIONS; i++) {
            path->filter[lead][i][0] = REST[i][0] * (double)ecg[lead][0];
            path->filter[lead][i][1] = REST[i][1] * (double)ecg[lead][0];
        }
        path->settling[lead] = LEADLIFT_PATH_SETTLING_HOPS;
        path->sum[lead] = 0.0;
        path->wrong[lead] = MODE_OF_SUM;
        for (int rule = 0; rule < LEADLIFT_PATH_RULES; rule++) {
            path->beyond[rule][lead] = 0;
        }
    }
    path->restart = 0;
}

/* The step rules: a baseline that stays beyond a level for some blocks starts the lead anew. */
static void look_for_steps(leadlift_path_t *path)
{
    for (int rule = 0; rule < LEADLIFT_PATH_RULES; rule++) {
        for (int lead = 0; lead < LEADS; lead++) {
            int16_t *run = &path->beyond[rule][lead];
            const int sign = (path->low_mv[lead] > RULE_MV[rule]) - (path->high_mv[lead] < -RULE_MV[rule]);
            *run = (int16_t)(sign * *run > 0 ? *run + sign : sign);
            if (*run >= RULE_BLOCKS[rule] || -*run >= RULE_BLOCKS[rule]) {
                path->restart |= (uint16_t)(1u << lead);
            }
        }
    }
}

/* Transposed direct form II; the first section is of first order. In double: see README.md. */
static double filtered(const section_t *c, double *state, bool first_order, double x)
{
    const double y = c->b0 * x + state[0];
    if (first_order) {
        state[0] = c->b1 * x - c->a1 * y;
    } else {
        state[0] = c->b1 * x - c->a1 * y + state[1];
        state[1] = c->b2 * x - c->a2 * y;
    }
    return y;
}

/*
 * A lead starts as if its first sample were the baseline, be it the top of an R wave, and forgets that slowly. Behind
 * a high-pass the mean is zero in the long run: what the mean since the start shows of the wrong baseline is taken
 * out while the lead settles, little by little, and out of the filters at the end.
 */
static void settle(leadlift_path_t *path, int lead, float *conditioned, float *residual)
{
    double left = path->sum[lead];
    for (int s = 0; s < HOP; s++) {
        path->sum[lead] += (double)conditioned[s];
    }
    left *= path->wrong[lead];
    for (int s = 0; s < HOP; s++) {
        conditioned[s] = (float)((double)conditioned[s] - left);
        residual[s] = (float)((double)residual[s] - MODE_RESIDUAL * left);
        left *= MODE_DECAY;
        path->wrong[lead] *= MODE_DECAY;
    }
    if (--path->settling[lead] == 0u) {
        left = path->sum[lead] * path->wrong[lead];
        for (int i = 0; i < SECTIONS; i++) {
            path->filter[lead][i][0] -= MODE[i][0] * left;
            path->filter[lead][i][1] -= MODE[i][1] * left;
        }
    }
}

uint16_t leadlift_condition(leadlift_path_t *path, leads_t ecg, leads_t conditioned, leads_t residual)
{
    if (path->restart != 0u) {
        restart_filters(path, ecg);
    }
    uint16_t settling = 0;
    bool settled = false;
    for (int lead = 0; lead < LEADS; lead++) {
        double sum = 0.0;
        for (int s = 0; s < HOP; s++) {
            double x = (double)ecg[lead][s];
            for (int i = 0; i < SECTIONS - 1; i++) {
                x = filtered(&SECTION[i], path->filter[lead][i], i == 0, x);
            }
            sum += x;
            conditioned[lead][s] = (float)x;
            residual[lead][s] = (float)filtered(&SECTION[SECTIONS - 1], path->filter[lead][SECTIONS - 1], false, x);
        }
        /* The second half of a block, so that a step is noticed within a block and a half wherever it falls. */
        const float mean = (float)(sum * (1.0 / HOP));
        if (path->block_hops == BLOCK_HOPS / 2) {
            path->low_mv[lead] = path->high_mv[lead] = mean;
        } else if (path->block_hops > BLOCK_HOPS / 2) {
            path->low_mv[lead] = mean < path->low_mv[lead] ? mean : path->low_mv[lead];
            path->high_mv[lead] = mean > path->high_mv[lead] ? mean : path->high_mv[lead];
        }
        if (path->settling[lead] > 0u) {
            settle(path, lead, conditioned[lead], residual[lead]);
            settling |= (uint16_t)(1u << lead);
            settled = settled || path->settling[lead] == 0u;
        }
    }
    if (++path->block_hops == BLOCK_HOPS) {
        path->block_hops = 0;
        look_for_steps(path);
    }
    if (settled) { /* the filters go on from another state: a new block of hops */
        path->block_hops = 0;
    }
    return settling;
}
