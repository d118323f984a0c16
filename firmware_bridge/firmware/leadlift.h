/*
 * leadlift.h: the device's side of the leadlift wire format, version 1.
 *
 * Turns samples, stream info and battery charge into frames, and the host's bytes into commands. C99; no
 * malloc, no library, no static data that changes: every byte of state and every buffer is the caller's.
 *
 *     static const leadlift_stream_info_t info = {
 *         .device = "my board", .firmware = "1.0", .rate_millihertz = 250000, .nanovolts_per_lsb = 163.5f,
 *         .config_id = 1, .sample_bits = 24, .channels = 3,
 *         .leads = {LEADLIFT_LEAD_II, LEADLIFT_LEAD_V1, LEADLIFT_LEAD_V5},
 *     };
 *     static uint8_t frame[LEADLIFT_MAX_FRAME_BYTES];
 *     leadlift_encoder_t encoder;
 *     leadlift_begin(&encoder, &info, session);
 *     size_t n = leadlift_encode_stream_info(&encoder, frame, sizeof frame);    // first, then each second
 *     n = leadlift_encode_samples(&encoder, counts, 10, tick_us, 0, frame, sizeof frame);
 *
 * What a device must do beside encoding stands in wire/README.md, how to port it in README.md beside this file.
 *
 * Contexts. No function blocks, waits or touches anything but its arguments, so each may run in a thread or an
 * interrupt. One encoder (or one receiver) belongs to one context at a time: two that share it need a lock, two
 * that have one each need nothing.
 */
#ifndef LEADLIFT_H
#define LEADLIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* [spec] generated from wire/spec.py by `python -m firmware_bridge.firmware --write`; do not edit */
#define LEADLIFT_VERSION 1u
#define LEADLIFT_DELIMITER 0u
#define LEADLIFT_COBS_BLOCK 254u
#define LEADLIFT_CRC_BYTES 4u
#define LEADLIFT_HEADER_BYTES 5u
#define LEADLIFT_SAMPLES_FIXED_BYTES 12u
#define LEADLIFT_RECONSTRUCTED_FIXED_BYTES 11u
#define LEADLIFT_STREAM_INFO_FIXED_BYTES 11u
#define LEADLIFT_BATTERY_FIXED_BYTES 1u
#define LEADLIFT_RECONSTRUCTION_FIXED_BYTES 10u
#define LEADLIFT_SET_RATE_FIXED_BYTES 4u
#define LEADLIFT_MAX_PACKET_BYTES 512u
#define LEADLIFT_MAX_CHANNELS 8u
#define LEADLIFT_MAX_TEXT_BYTES 32u
#define LEADLIFT_STREAM_INFO_PERIOD_US 1000000u
#define LEADLIFT_LEAD_CODES 12u
#define LEADLIFT_PROVENANCE_CODES 6u

#define LEADLIFT_SAMPLES_INT16 0x01u
#define LEADLIFT_SAMPLES_INT24 0x02u
#define LEADLIFT_RECONSTRUCTED 0x03u
#define LEADLIFT_STREAM_INFO 0x10u
#define LEADLIFT_BATTERY 0x11u
#define LEADLIFT_RECONSTRUCTION 0x12u
#define LEADLIFT_START 0x20u
#define LEADLIFT_STOP 0x21u
#define LEADLIFT_SET_RATE 0x22u
#define LEADLIFT_IDENTIFY 0x23u

#define LEADLIFT_LEAD_I 1u
#define LEADLIFT_LEAD_II 2u
#define LEADLIFT_LEAD_III 3u
#define LEADLIFT_LEAD_AVR 4u
#define LEADLIFT_LEAD_AVL 5u
#define LEADLIFT_LEAD_AVF 6u
#define LEADLIFT_LEAD_V1 7u
#define LEADLIFT_LEAD_V2 8u
#define LEADLIFT_LEAD_V3 9u
#define LEADLIFT_LEAD_V4 10u
#define LEADLIFT_LEAD_V5 11u
#define LEADLIFT_LEAD_V6 12u
/* [spec] end */

/* Longest frame for a packet of `packet_bytes`, delimiter included: COBS adds a byte per begun block. */
#define LEADLIFT_FRAME_BYTES(packet_bytes) \
    ((packet_bytes) + ((packet_bytes) + LEADLIFT_COBS_BLOCK - 1u) / LEADLIFT_COBS_BLOCK + 1u)

/* Packet with `count` samples of each of `channels` channels of `bits` (16 or 24) bits. */
#define LEADLIFT_SAMPLES_PACKET_BYTES(channels, count, bits) \
    (LEADLIFT_HEADER_BYTES + LEADLIFT_SAMPLES_FIXED_BYTES + LEADLIFT_CRC_BYTES + \
     (channels) * (count) * ((bits) / 8u))

/* Buffers: the smallest that always suffice for one kind of frame, and for any frame. */
#define LEADLIFT_SAMPLES_FRAME_BYTES(channels, count, bits) \
    LEADLIFT_FRAME_BYTES(LEADLIFT_SAMPLES_PACKET_BYTES(channels, count, bits))
#define LEADLIFT_STREAM_INFO_FRAME_BYTES \
    LEADLIFT_FRAME_BYTES(LEADLIFT_HEADER_BYTES + LEADLIFT_STREAM_INFO_FIXED_BYTES + LEADLIFT_CRC_BYTES + \
                         LEADLIFT_MAX_CHANNELS + 2u * (1u + LEADLIFT_MAX_TEXT_BYTES))
#define LEADLIFT_BATTERY_FRAME_BYTES \
    LEADLIFT_FRAME_BYTES(LEADLIFT_HEADER_BYTES + LEADLIFT_BATTERY_FIXED_BYTES + LEADLIFT_CRC_BYTES)
#define LEADLIFT_RECONSTRUCTION_FRAME_BYTES \
    LEADLIFT_FRAME_BYTES(LEADLIFT_HEADER_BYTES + LEADLIFT_RECONSTRUCTION_FIXED_BYTES + LEADLIFT_CRC_BYTES + \
                         2u * LEADLIFT_LEAD_CODES + 1u + LEADLIFT_MAX_TEXT_BYTES)

/* Packet with `count` samples of each of `n_leads` reconstructed leads. */
#define LEADLIFT_RECONSTRUCTED_PACKET_BYTES(n_leads, count) \
    (LEADLIFT_HEADER_BYTES + LEADLIFT_RECONSTRUCTED_FIXED_BYTES + LEADLIFT_CRC_BYTES + (n_leads) + \
     3u * (n_leads) * (count))
#define LEADLIFT_RECONSTRUCTED_FRAME_BYTES(n_leads, count) \
    LEADLIFT_FRAME_BYTES(LEADLIFT_RECONSTRUCTED_PACKET_BYTES(n_leads, count))
#define LEADLIFT_MAX_FRAME_BYTES LEADLIFT_FRAME_BYTES(LEADLIFT_MAX_PACKET_BYTES)

/* The longest packet that a host sends: SET_RATE. */
#define LEADLIFT_COMMAND_PACKET_BYTES \
    (LEADLIFT_HEADER_BYTES + LEADLIFT_SET_RATE_FIXED_BYTES + LEADLIFT_CRC_BYTES)

/* What the device says of its stream. Change `config_id` with any other field. */
typedef struct {
    const char *device;        /* name of the device: UTF-8, at most LEADLIFT_MAX_TEXT_BYTES, or NULL */
    const char *firmware;      /* version of its firmware, likewise */
    uint32_t rate_millihertz;  /* sampling rate, above 0 */
    float nanovolts_per_lsb;   /* one count at the electrodes in nV, finite and above 0; IEEE 754 binary32 */
    uint8_t config_id;         /* goes with every sample frame */
    uint8_t sample_bits;       /* 16 or 24: the converter's rails */
    uint8_t channels;          /* 1 to LEADLIFT_MAX_CHANNELS */
    uint8_t leads[LEADLIFT_MAX_CHANNELS]; /* LEADLIFT_LEAD_... of each channel, none twice */
} leadlift_stream_info_t;

/* One session of one device. Only leadlift_ functions write to it; the counters may be read. */
typedef struct {
    const leadlift_stream_info_t *info;
    uint32_t first_sample; /* samples of each channel counted so far in this session, modulo 2^32 */
    uint16_t sequence;     /* frames encoded so far in this session, modulo 2^16 */
    uint8_t session;
} leadlift_encoder_t;

/* What the device says of the leads that it reconstructs itself; `config_id` is that of the stream info. */
typedef struct {
    const char *model;         /* name of the model, as device and firmware above */
    uint32_t rate_millihertz;  /* rate of the reconstructed leads, above 0 */
    float nanovolts_per_lsb;   /* one count of a value in nV, finite and above 0 */
    uint8_t n_leads;           /* 1 to LEADLIFT_LEAD_CODES */
    uint8_t leads[LEADLIFT_LEAD_CODES];      /* LEADLIFT_LEAD_... of each, none twice */
    uint8_t provenance[LEADLIFT_LEAD_CODES]; /* where each comes from, 1 to LEADLIFT_PROVENANCE_CODES */
} leadlift_reconstruction_t;

/* Reconstructed samples for one frame. */
typedef struct {
    uint32_t first_sample;  /* of this session, modulo 2^32; counted apart from the measured samples */
    uint32_t tick_us;       /* device time of the first sample */
    uint8_t count;          /* samples of each lead, above 0 */
    uint8_t n_leads;
    const uint8_t *quality; /* of each lead, the quality bits of any of its samples */
    const int16_t *values;  /* count x n_leads, all leads of a sample together; -32768 for no value */
    const uint8_t *sigmas;  /* the same of sigma, as codes */
} leadlift_reconstructed_t;

/* What the host asks for. */
typedef struct {
    uint32_t rate_millihertz; /* the sampling rate to use, above 0, for LEADLIFT_SET_RATE; else 0 */
    uint8_t type;             /* LEADLIFT_START, LEADLIFT_STOP, LEADLIFT_SET_RATE or LEADLIFT_IDENTIFY */
} leadlift_command_t;

/* The host's unfinished frame. All zeros (a static variable, or `= {0}`) is ready to receive. */
typedef struct {
    uint8_t packet[LEADLIFT_COMMAND_PACKET_BYTES];
    uint8_t length;  /* bytes of the packet so far; one more than it holds: too long for a command */
    uint8_t block;   /* bytes to come in the COBS block at hand */
    bool in_frame;   /* whether a block of this frame came before */
} leadlift_receiver_t;

/*
 * Begin a session: after each boot, and at each start of sampling (also after a change of rate). Sequence and
 * sample index begin at 0. `session` must differ from the last one's: a random or stored number is best.
 * `info` is not copied and must not change until the next leadlift_begin.
 *
 * False for an `info` that a host would refuse; until a leadlift_begin succeeds nothing is encoded.
 * Interrupts: as all here, while nothing else uses this encoder. Time: constant.
 */
bool leadlift_begin(leadlift_encoder_t *encoder, const leadlift_stream_info_t *info, uint8_t session);

/*
 * Each leadlift_encode_ function writes one whole frame, delimiter included, to `frame` and counts it, sent or
 * not. It returns the bytes written, or 0 with nothing written and nothing counted if `capacity` is below the
 * frame's LEADLIFT_..._FRAME_BYTES or an argument is out of range.
 * Interrupts: yes, while nothing else uses this encoder or `frame`. Time: grows with the bytes, nothing else.
 */

/* Stream info: the first frame of a session, every LEADLIFT_STREAM_INFO_PERIOD_US, and for each command. */
size_t leadlift_encode_stream_info(leadlift_encoder_t *encoder, uint8_t *frame, size_t capacity);

/*
 * How many samples of each channel the next frame is to have, `fewest` to `most`: another number for each frame,
 * the same after each boot. Ask when a frame is begun. BLE sends at multiples of its connection interval; frames
 * of one length keep step with that, and then no host can tell the device's time from when they arrive.
 * Interrupts: yes. Time: constant.
 */
uint8_t leadlift_frame_samples(const leadlift_encoder_t *encoder, uint8_t fewest, uint8_t most);

/*
 * Samples: `counts` has `count` (above 0) samples of each channel in converter codes with zero volts at zero,
 * all channels of a moment together, in the order of the leads; codes beyond the rails of `sample_bits` are
 * clipped to them. `tick_us` is a free-running microsecond timer read when the first of them was taken, modulo
 * 2^32; bit i of `lead_off` says that the electrode of channel i is off.
 */
size_t leadlift_encode_samples(leadlift_encoder_t *encoder, const int32_t *counts, uint8_t count,
                               uint32_t tick_us, uint8_t lead_off, uint8_t *frame, size_t capacity);

/* What the leads that follow are: after each stream info. */
size_t leadlift_encode_reconstruction(leadlift_encoder_t *encoder, const leadlift_reconstruction_t *what,
                                      uint8_t *frame, size_t capacity);

/* Leads that the device reconstructed: estimates with their sigma. */
size_t leadlift_encode_reconstructed(leadlift_encoder_t *encoder, const leadlift_reconstructed_t *samples,
                                     uint8_t *frame, size_t capacity);

/* Battery: `percent` is its charge, 0 to 100. */
size_t leadlift_encode_battery(leadlift_encoder_t *encoder, uint8_t percent, uint8_t *frame,
                               size_t capacity);

/*
 * Count `n` samples of each channel that were taken (or should have been) and will not be encoded, so that the
 * host learns of the gap. Interrupts: yes, while nothing else uses this encoder. Time: constant.
 */
void leadlift_skip_samples(leadlift_encoder_t *encoder, uint32_t n);

/*
 * Take the next byte from the host. True when it completes a command, which is then in `*command`; whatever is
 * no whole, undamaged command is dropped without a word, since the host repeats itself.
 * Interrupts: yes, meant for the receive interrupt, while nothing else uses this receiver or `*command`. Time:
 * constant, save that the delimiter of a frame checks the CRC of at most 9 bytes.
 */
bool leadlift_receive(leadlift_receiver_t *receiver, uint8_t byte, leadlift_command_t *command);

#ifdef __cplusplus
}
#endif

#endif
