/* leadlift_decoder_check.h: the decoder against golden vectors of ONNX Runtime; see leadlift_decoder_check.c. */
#ifndef LEADLIFT_DECODER_CHECK_H
#define LEADLIFT_DECODER_CHECK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t hops, hops_at_ceiling, wrong_hops; /* an output beyond the tolerance */
    uint32_t states, wrong_states;              /* any code of the state differs */
    uint64_t ticks;                             /* of all steps, by `clock` */
} leadlift_decoder_check_t;

/* Steps through the golden vectors. `clock` counts up whatever it counts, modulo 2^32; or NULL. */
leadlift_decoder_check_t leadlift_decoder_check(uint32_t (*clock)(void));

#ifdef __cplusplus
}
#endif
#endif
