/* leadlift_path_frame.h: what the path made, as frames of the wire format; with ../leadlift.h. */
#ifndef LEADLIFT_PATH_FRAME_H
#define LEADLIFT_PATH_FRAME_H

#include "leadlift.h"
#include "leadlift_path.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LEADLIFT_PATH_NANOVOLTS_PER_LSB 1000.0f /* +-32.767 mV; what is beyond saturates */
#define LEADLIFT_PATH_FRAME_BYTES LEADLIFT_RECONSTRUCTED_FRAME_BYTES(LEADLIFT_PATH_TWELVE, LEADLIFT_PATH_HOP)

/* What the frames of leadlift_path_encode are: for leadlift_encode_reconstruction, after each stream info. */
leadlift_reconstruction_t leadlift_path_reconstruction(void);

/* A hop as one frame, delimiter included; `tick_us` is the device time of its first sample. 0 as other encoders. */
size_t leadlift_path_encode(leadlift_encoder_t *encoder, const leadlift_twelve_t *twelve, uint32_t tick_us,
                            uint8_t *frame, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
