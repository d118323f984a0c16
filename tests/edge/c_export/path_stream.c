/* path_stream.c: a whole stream through the path, for a test that calls it once. */
#include <string.h>

#include "leadlift_path_frame.h"

static leadlift_path_t path;

void path_begin(float nanovolts_per_lsb, int sample_bits);
void path_skip(uint32_t n_samples);
uint32_t path_hops(int n_hops, const float *ecg_mv, const uint8_t *quality, leadlift_twelve_t *out);
uint32_t path_counts(int n_hops, const int32_t *counts, const uint8_t *lead_off, leadlift_twelve_t *out);

void path_begin(float nanovolts_per_lsb, int sample_bits)
{
    memset(&path, 0xA5, sizeof path); /* it must not rely on zeros */
    leadlift_path_begin(&path, nanovolts_per_lsb, (uint8_t)sample_bits);
}

void path_skip(uint32_t n_samples) { leadlift_path_skip(&path, n_samples); }

/* ecg_mv and quality [hop][lead][sample]; the size of leadlift_path_t. */
uint32_t path_hops(int n_hops, const float *ecg_mv, const uint8_t *quality, leadlift_twelve_t *out)
{
    const int n = LEADLIFT_PATH_LEADS * LEADLIFT_PATH_HOP;
    for (int hop = 0; hop < n_hops; hop++) {
        leadlift_path_hop(&path, ecg_mv + hop * n, quality == NULL ? NULL : quality + hop * n, &out[hop]);
    }
    return (uint32_t)sizeof path;
}

/* All hops as frames, end to end, with the stream info and the reconstruction in front; the bytes. */
uint32_t path_frames(int n_hops, const leadlift_twelve_t *twelve, const leadlift_stream_info_t *info, uint8_t *out);

uint32_t path_frames(int n_hops, const leadlift_twelve_t *twelve, const leadlift_stream_info_t *info, uint8_t *out)
{
    leadlift_encoder_t encoder;
    const leadlift_reconstruction_t what = leadlift_path_reconstruction();
    leadlift_begin(&encoder, info, 7);
    uint32_t n = (uint32_t)leadlift_encode_stream_info(&encoder, out, LEADLIFT_STREAM_INFO_FRAME_BYTES);
    n += (uint32_t)leadlift_encode_reconstruction(&encoder, &what, out + n, LEADLIFT_RECONSTRUCTION_FRAME_BYTES);
    for (int hop = 0; hop < n_hops; hop++) {
        n += (uint32_t)leadlift_path_encode(&encoder, &twelve[hop], (uint32_t)hop * 16000u, out + n,
                                            LEADLIFT_PATH_FRAME_BYTES);
    }
    return n;
}

/* counts [hop][sample][lead]. */
uint32_t path_counts(int n_hops, const int32_t *counts, const uint8_t *lead_off, leadlift_twelve_t *out)
{
    const int n = LEADLIFT_PATH_LEADS * LEADLIFT_PATH_HOP;
    for (int hop = 0; hop < n_hops; hop++) {
        leadlift_path_counts(&path, counts + hop * n, lead_off[hop], &out[hop]);
    }
    return (uint32_t)sizeof path;
}
