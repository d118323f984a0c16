/*
 * leadlift_conditioning.h: what happens to the measured leads before the decoder; for leadlift_path.c alone.
 *
 * As edge/signal/presence.py and edge/signal/conditioning.py, whose results these are.
 */
#ifndef LEADLIFT_CONDITIONING_H
#define LEADLIFT_CONDITIONING_H

#include "leadlift_path.h"

#if defined(__GNUC__)
#define memcpy __builtin_memcpy /* a compiler for boards may come without <string.h> */
#define memset __builtin_memset
#else
#include <string.h>
#endif

#define HOP LEADLIFT_PATH_HOP
#define LEADS LEADLIFT_PATH_LEADS
#define ALL ((uint16_t)((1u << LEADS) - 1u))

typedef float leads_t[LEADS][HOP]; /* of the measured leads, mV */

/* Missing samples (bit s of `missing`) become the last one before; finds the leads that are off. */
void leadlift_follow_presence(leadlift_path_t *path, leads_t ecg, const uint8_t *missing);

/* Judges a block of hops at its end; its verdict, `noisy`, holds for the hops of the next. */
void leadlift_follow_noise(leadlift_path_t *path, leads_t ecg);

/* Every lead starts anew at its next sample. */
void leadlift_forget_signal(leadlift_path_t *path);

/* A hop through the filters: what every lead shows, what the decoder sees; the leads that settle. */
uint16_t leadlift_condition(leadlift_path_t *path, leads_t ecg, leads_t conditioned, leads_t residual);

static inline bool is(uint32_t mask, int i) { return ((mask >> i) & 1u) != 0u; }

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline bool finite(float value) { return (bits_of(value) & 0x7F800000u) != 0x7F800000u; }

#endif
