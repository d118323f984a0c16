/* leadlift_path_frame.c: twelve leads with sigma as codes and frames; see leadlift_path_frame.h. */
#include "leadlift_path_frame.h"

#include "leadlift_conditioning.h"

#define NO_VALUE (-32768)
#define MOST 32767.0f
#define SIGMA_STEPS 16
#define LAST_STEP 254 /* of code 255 */
#define LSB_PER_MV (1e6f / LEADLIFT_PATH_NANOVOLTS_PER_LSB)
#define SIGMA_LEAST_PER_MV 1e4f /* code 1 is 0.1 uV */

/* 2^((i + 1/2) / 16): from there on step i + 1 is the nearer one. */
static const float HALF_STEP[SIGMA_STEPS] = {
    1.02189715e+00f, 1.06714040e+00f, 1.11438674e+00f, 1.16372486e+00f, 1.21524736e+00f, 1.26905096e+00f,
    1.32523664e+00f, 1.38390988e+00f, 1.44518081e+00f, 1.50916443e+00f, 1.57598085e+00f, 1.64575548e+00f,
    1.71861930e+00f, 1.79470908e+00f, 1.87416763e+00f, 1.95714412e+00f,
};

static int16_t value_code(float mv)
{
    if (!finite(mv)) {
        return NO_VALUE;
    }
    const float counts = mv * LSB_PER_MV;
    const float bounded = counts > MOST ? MOST : counts < -MOST ? -MOST : counts;
    /* Half to even: adding 1.5 * 2^23 leaves the integer in the mantissa. */
    return (int16_t)((int32_t)bits_of(bounded + 12582912.0f) - 0x4B400000);
}

static uint8_t sigma_code(float mv)
{
    const float least = mv * SIGMA_LEAST_PER_MV;
    if (!finite(mv) || !(least > 0.0f)) {
        return 0;
    }
    const uint32_t bits = bits_of(least);
    const float mantissa = float_of((bits & 0x007FFFFFu) | 0x3F800000u);
    int steps = ((int)(bits >> 23) - 127) * SIGMA_STEPS;
    for (int i = 0; i < SIGMA_STEPS && mantissa >= HALF_STEP[i]; i++) {
        steps++;
    }
    return (uint8_t)((steps < 0 ? 0 : steps > LAST_STEP ? LAST_STEP : steps) + 1);
}

leadlift_reconstruction_t leadlift_path_reconstruction(void)
{
    const leadlift_reconstruction_t what = {
        LEADLIFT_PATH_MODEL, LEADLIFT_PATH_SAMPLING_MILLIHERTZ, LEADLIFT_PATH_NANOVOLTS_PER_LSB,
        LEADLIFT_PATH_TWELVE, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, LEADLIFT_PATH_PROVENANCE,
    };
    return what;
}

size_t leadlift_path_encode(leadlift_encoder_t *encoder, const leadlift_twelve_t *twelve, uint32_t tick_us,
                            uint8_t *frame, size_t capacity)
{
    uint8_t quality[LEADLIFT_PATH_TWELVE], sigmas[HOP][LEADLIFT_PATH_TWELVE];
    int16_t values[HOP][LEADLIFT_PATH_TWELVE];
    for (int lead = 0; lead < LEADLIFT_PATH_TWELVE; lead++) {
        quality[lead] = 0;
        for (int s = 0; s < HOP; s++) {
            quality[lead] |= twelve->quality[lead][s];
            values[s][lead] = value_code(twelve->ecg_mv[lead][s]);
            sigmas[s][lead] = sigma_code(twelve->sigma_mv[lead][s]);
        }
    }
    const leadlift_reconstructed_t samples = {
        twelve->first_sample, tick_us, HOP, LEADLIFT_PATH_TWELVE, quality, values[0], sigmas[0],
    };
    return leadlift_encode_reconstructed(encoder, &samples, frame, capacity);
}
