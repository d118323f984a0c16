/*
 * c_checks.c: the C side under the address and undefined-behaviour sanitizers.
 *
 * Reads vectors from stdin, a line each, and then makes random inputs, as many as its argument says. Every buffer
 * is a heap block of its own that ends where its declared capacity does, or a guard byte later, so that no byte
 * too far goes unnoticed. Exits 1 at the first difference.
 *
 *     S session sequence config_id first_sample tick_us lead_off channels bits count code... hex   samples
 *     I session sequence config_id bits rate scale_bits channels lead... device firmware hex       stream info
 *     B session sequence percent hex                                                               battery
 *     T session sequence config_id rate scale_bits leads code... provenance... model hex           reconstruction
 *     E session sequence config_id first_sample tick_us count leads quality... value... sigma... hex
 *                                                                                                  reconstructed
 *     R n_commands hex                                                                             received
 *
 * Names are hex with a leading "x".
 */
#include "leadlift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 1024

static uint8_t received[128][MAX_BYTES]; /* frames of the R lines, to be damaged later */
static size_t received_bytes[128];
static unsigned n_received;

static void fail(const char *what)
{
    printf("failed: %s\n", what);
    exit(1);
}

static unsigned long number(void)
{
    long long value;
    if (scanf("%lld", &value) != 1) {
        fail("a number is missing");
    }
    return (unsigned long)value;
}

static size_t hex(uint8_t *bytes, size_t n_skip)
{
    char text[2 * MAX_BYTES + 8];
    if (scanf("%2055s", text) != 1) {
        fail("hex is missing");
    }
    size_t n = (strlen(text) - n_skip) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned value;
        sscanf(text + n_skip + 2 * i, "%2x", &value);
        bytes[i] = (uint8_t)value;
    }
    return n;
}

static leadlift_stream_info_t any_info(void)
{
    leadlift_stream_info_t info = {"device", "1.0", 250000, 50.0f, 1, 24, 3,
                                   {LEADLIFT_LEAD_II, LEADLIFT_LEAD_V1, LEADLIFT_LEAD_V5}};
    return info;
}

static void begin(leadlift_encoder_t *encoder, const leadlift_stream_info_t *info, unsigned session,
                  unsigned sequence)
{
    if (!leadlift_begin(encoder, info, (uint8_t)session)) {
        fail("an info is refused");
    }
    encoder->sequence = (uint16_t)sequence;
}

static void compare(const uint8_t *frame, size_t n)
{
    uint8_t expected[MAX_BYTES];
    size_t n_expected = hex(expected, 0);
    if (n != n_expected || memcmp(frame, expected, n) != 0) {
        fail("a frame is not the vector's");
    }
}

static void check_samples(unsigned session, unsigned sequence)
{
    leadlift_stream_info_t info = any_info();
    leadlift_encoder_t encoder;
    info.config_id = (uint8_t)number();
    uint32_t first_sample = (uint32_t)number();
    uint32_t tick_us = (uint32_t)number();
    uint8_t lead_off = (uint8_t)number();
    info.channels = (uint8_t)number();
    info.sample_bits = (uint8_t)number();
    uint8_t count = (uint8_t)number();
    for (uint8_t i = 0; i < info.channels; i++) {
        info.leads[i] = (uint8_t)(i + 1u);
    }
    size_t n_codes = (size_t)info.channels * count;
    int32_t *codes = malloc(n_codes * sizeof *codes);
    for (size_t i = 0; i < n_codes; i++) {
        codes[i] = (int32_t)number();
    }
    size_t capacity = LEADLIFT_SAMPLES_FRAME_BYTES((size_t)info.channels, count, info.sample_bits);
    uint8_t *frame = malloc(capacity);
    begin(&encoder, &info, session, sequence);
    encoder.first_sample = first_sample;
    compare(frame, leadlift_encode_samples(&encoder, codes, count, tick_us, lead_off, frame, capacity));
    free(frame);
    free(codes);
}

static void check_info(unsigned session, unsigned sequence)
{
    char names[2][MAX_BYTES] = {"", ""};
    leadlift_stream_info_t info = any_info();
    leadlift_encoder_t encoder;
    info.config_id = (uint8_t)number();
    info.sample_bits = (uint8_t)number();
    info.rate_millihertz = (uint32_t)number();
    uint32_t scale = (uint32_t)number();
    memcpy(&info.nanovolts_per_lsb, &scale, 4);
    info.channels = (uint8_t)number();
    for (uint8_t i = 0; i < info.channels; i++) {
        info.leads[i] = (uint8_t)number();
    }
    names[0][hex((uint8_t *)names[0], 1)] = '\0';
    names[1][hex((uint8_t *)names[1], 1)] = '\0';
    info.device = names[0];
    info.firmware = names[1];
    uint8_t *frame = malloc(LEADLIFT_STREAM_INFO_FRAME_BYTES);
    begin(&encoder, &info, session, sequence);
    compare(frame, leadlift_encode_stream_info(&encoder, frame, LEADLIFT_STREAM_INFO_FRAME_BYTES));
    free(frame);
}

static void check_battery(unsigned session, unsigned sequence)
{
    leadlift_stream_info_t info = any_info();
    leadlift_encoder_t encoder;
    uint8_t percent = (uint8_t)number();
    uint8_t *frame = malloc(LEADLIFT_BATTERY_FRAME_BYTES);
    begin(&encoder, &info, session, sequence);
    compare(frame, leadlift_encode_battery(&encoder, percent, frame, LEADLIFT_BATTERY_FRAME_BYTES));
    free(frame);
}

static void check_reconstruction(unsigned session, unsigned sequence)
{
    char model[MAX_BYTES] = "";
    leadlift_stream_info_t info = any_info();
    leadlift_reconstruction_t what = {model, 0, 0.0f, 0, {0}, {0}};
    leadlift_encoder_t encoder;
    info.config_id = (uint8_t)number();
    what.rate_millihertz = (uint32_t)number();
    uint32_t scale = (uint32_t)number();
    memcpy(&what.nanovolts_per_lsb, &scale, 4);
    what.n_leads = (uint8_t)number();
    for (uint8_t i = 0; i < what.n_leads; i++) {
        what.leads[i] = (uint8_t)number();
    }
    for (uint8_t i = 0; i < what.n_leads; i++) {
        what.provenance[i] = (uint8_t)number();
    }
    model[hex((uint8_t *)model, 1)] = '\0';
    uint8_t *frame = malloc(LEADLIFT_RECONSTRUCTION_FRAME_BYTES);
    begin(&encoder, &info, session, sequence);
    compare(frame, leadlift_encode_reconstruction(&encoder, &what, frame, LEADLIFT_RECONSTRUCTION_FRAME_BYTES));
    free(frame);
}

static void check_reconstructed(unsigned session, unsigned sequence)
{
    leadlift_stream_info_t info = any_info();
    leadlift_reconstructed_t samples = {0, 0, 0, 0, NULL, NULL, NULL};
    leadlift_encoder_t encoder;
    info.config_id = (uint8_t)number();
    samples.first_sample = (uint32_t)number();
    samples.tick_us = (uint32_t)number();
    samples.count = (uint8_t)number();
    samples.n_leads = (uint8_t)number();
    size_t n = (size_t)samples.count * samples.n_leads;
    uint8_t *quality = malloc(samples.n_leads), *sigmas = malloc(n);
    int16_t *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < samples.n_leads; i++) {
        quality[i] = (uint8_t)number();
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = (int16_t)number();
    }
    for (size_t i = 0; i < n; i++) {
        sigmas[i] = (uint8_t)number();
    }
    samples.quality = quality;
    samples.values = values;
    samples.sigmas = sigmas;
    size_t capacity = LEADLIFT_RECONSTRUCTED_FRAME_BYTES((size_t)samples.n_leads, samples.count);
    uint8_t *frame = malloc(capacity);
    begin(&encoder, &info, session, sequence);
    compare(frame, leadlift_encode_reconstructed(&encoder, &samples, frame, capacity));
    free(frame);
    free(values);
    free(sigmas);
    free(quality);
}

static unsigned receive(leadlift_receiver_t *receiver, const uint8_t *bytes, size_t n)
{
    leadlift_command_t command;
    unsigned n_commands = 0;
    for (size_t i = 0; i < n; i++) {
        if (leadlift_receive(receiver, bytes[i], &command)) {
            n_commands++;
            if (command.type < LEADLIFT_START || command.type > LEADLIFT_IDENTIFY ||
                (command.type == LEADLIFT_SET_RATE) != (command.rate_millihertz > 0u)) {
                fail("a command makes no sense");
            }
        }
    }
    return n_commands;
}

static void check_received(void)
{
    leadlift_receiver_t receiver = {{0}, 0, 0, false};
    unsigned n_commands = (unsigned)number();
    size_t n = hex(received[n_received], 0);
    if (receive(&receiver, received[n_received], n) != n_commands) {
        fail("other commands than the vector's");
    }
    received_bytes[n_received++] = n;
}

static uint32_t random_state = 1;

static uint32_t random_u32(void) /* xorshift32 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static uint32_t below(uint32_t n)
{
    return random_u32() % n;
}

static void random_frame(void)
{
    leadlift_encoder_t encoder;
    leadlift_stream_info_t info = any_info();
    char *device = malloc(LEADLIFT_MAX_TEXT_BYTES + 1u); /* a name that does not end is read no further */
    memset(device, 'd', LEADLIFT_MAX_TEXT_BYTES + 1u);
    bool ends = below(8) != 0u;
    if (ends) {
        device[below(LEADLIFT_MAX_TEXT_BYTES + 1u)] = '\0';
    }
    info.device = device;
    info.channels = (uint8_t)below(below(8) == 0u ? 256u : 9u);
    info.sample_bits = below(2) == 0u ? 16 : 24;
    uint32_t first = below(12);
    for (uint32_t i = 0; i < LEADLIFT_MAX_CHANNELS; i++) {
        info.leads[i] = (uint8_t)((first + i) % 12u + 1u);
    }
    bool good = info.channels >= 1u && info.channels <= 8u && ends;
    if (leadlift_begin(&encoder, &info, (uint8_t)random_u32()) != good) {
        fail("an info is taken or refused wrongly");
    }
    encoder.sequence = (uint16_t)random_u32();
    leadlift_skip_samples(&encoder, random_u32());

    uint8_t count = (uint8_t)(below(2) == 0u ? below(256) : below(12));
    size_t n_codes = (size_t)count * (info.channels > 8u ? 1u : info.channels);
    int32_t *codes = malloc((n_codes + 1u) * sizeof *codes);
    uint32_t mask = below(2) == 0u ? 0xFFFFFFFFu : below(2) == 0u ? 0x010101u : 1u;
    for (size_t i = 0; i < n_codes; i++) {
        codes[i] = (int32_t)(random_u32() & mask);
    }
    size_t capacity = below(600);
    uint8_t *frame = malloc(capacity + 1u); /* and a guard, so that a capacity of 0 has an address */
    frame[capacity] = 0xA5;
    size_t n = 0;
    uint32_t kind = below(8);
    uint16_t sequence = encoder.sequence;
    if (kind == 0u) {
        n = leadlift_encode_stream_info(&encoder, frame, capacity);
    } else if (kind == 1u) {
        n = leadlift_encode_battery(&encoder, (uint8_t)random_u32(), frame, capacity);
    } else if (kind == 2u) {
        leadlift_reconstruction_t what = {device, random_u32(), info.nanovolts_per_lsb, (uint8_t)below(14), {0}, {0}};
        for (uint32_t i = 0; i < LEADLIFT_LEAD_CODES; i++) {
            what.leads[i] = (uint8_t)((first + i) % 12u + 1u);
            what.provenance[i] = (uint8_t)below(8);
        }
        n = leadlift_encode_reconstruction(&encoder, &what, frame, capacity);
    } else if (kind == 3u) {
        uint8_t bytes[13 * 13];
        int16_t values[13 * 13];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(random_u32() & mask);
            values[i] = (int16_t)(random_u32() & mask);
        }
        leadlift_reconstructed_t samples = {random_u32(), random_u32(), (uint8_t)below(14), (uint8_t)below(14),
                                            bytes, values, bytes};
        n = leadlift_encode_reconstructed(&encoder, &samples, frame, capacity);
    } else {
        n = leadlift_encode_samples(&encoder, codes, count, random_u32(), (uint8_t)below(16), frame, capacity);
    }
    if (n > capacity || frame[capacity] != 0xA5 || (n > 0u) != (encoder.sequence != sequence)) {
        fail("a frame is too long, or counted wrongly");
    }
    if (n > 0u && memchr(frame, 0, n) != frame + n - 1u) {
        fail("the delimiter is not the end of a frame");
    }
    free(frame);
    free(codes);
    free(device);
}

static void random_reception(leadlift_receiver_t *receiver)
{
    uint8_t bytes[MAX_BYTES];
    uint32_t which = below(n_received);
    size_t n = received_bytes[which];
    memcpy(bytes, received[which], n);
    for (uint32_t i = below(3); i > 0u; i--) {
        bytes[below((uint32_t)n)] = (uint8_t)random_u32();
    }
    if (below(4) == 0u) {
        n = below((uint32_t)n);
    }
    (void)receive(receiver, bytes, n);
}

int main(int n_arguments, char **arguments)
{
    char kind;
    unsigned n_vectors = 0, n_random = n_arguments > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 0;
    while (scanf(" %c", &kind) == 1) {
        if (kind == 'R') {
            check_received();
        } else {
            unsigned session = (unsigned)number(), sequence = (unsigned)number();
            if (kind == 'S') {
                check_samples(session, sequence);
            } else if (kind == 'I') {
                check_info(session, sequence);
            } else if (kind == 'T') {
                check_reconstruction(session, sequence);
            } else if (kind == 'E') {
                check_reconstructed(session, sequence);
            } else {
                check_battery(session, sequence);
            }
        }
        n_vectors++;
    }
    static leadlift_receiver_t receiver;
    for (unsigned i = 0; i < n_random; i++) {
        random_frame();
        random_reception(&receiver);
    }
    printf("%u vectors, %u random inputs\n", n_vectors, n_random);
    return 0;
}
