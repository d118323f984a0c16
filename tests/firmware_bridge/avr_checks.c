/*
 * avr_checks.c: the golden vectors where `int` has 16 bits; what differs goes to the UART, and at the end how many.
 *
 * vectors.h, which the test writes, has `run_vectors`: a call of one of the functions below for each vector.
 */
#include "leadlift.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdio.h>
#include <string.h>

static uint16_t n_vectors, n_bad;
static uint8_t frame[LEADLIFT_MAX_FRAME_BYTES];
static leadlift_encoder_t encoder;
static leadlift_stream_info_t info = {"device", "1.0", 250000, 50.0f, 1, 24, 3, {1, 2, 3, 4, 5, 6, 7, 8}};

static void say(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((UCSR0A & (1 << UDRE0)) == 0) {
        }
        UDR0 = (uint8_t)*text;
    }
}

static void compare(size_t n, const uint8_t *expected, size_t n_expected)
{
    n_vectors++;
    if (n != n_expected || memcmp(frame, expected, n) != 0) {
        n_bad++;
    }
}

static void begin(const leadlift_stream_info_t *said, uint8_t session, uint16_t sequence, uint32_t first_sample)
{
    if (!leadlift_begin(&encoder, said, session)) {
        n_bad++;
    }
    encoder.sequence = sequence;
    leadlift_skip_samples(&encoder, first_sample);
}

static void samples(uint8_t session, uint16_t sequence, uint8_t config_id, uint32_t first_sample,
                    uint32_t tick_us, uint8_t lead_off, uint8_t channels, uint8_t bits, uint8_t count,
                    const int32_t *codes, const uint8_t *expected, size_t n_expected)
{
    info.config_id = config_id;
    info.channels = channels;
    info.sample_bits = bits;
    begin(&info, session, sequence, first_sample);
    size_t n = leadlift_encode_samples(&encoder, codes, count, tick_us, lead_off, frame, sizeof frame);
    compare(n, expected, n_expected);
}

static void stream_info(uint8_t session, uint16_t sequence, const leadlift_stream_info_t *said,
                        const uint8_t *expected, size_t n_expected)
{
    begin(said, session, sequence, 0);
    compare(leadlift_encode_stream_info(&encoder, frame, sizeof frame), expected, n_expected);
}

static void battery(uint8_t session, uint16_t sequence, uint8_t percent, const uint8_t *expected,
                    size_t n_expected)
{
    begin(&info, session, sequence, 0);
    compare(leadlift_encode_battery(&encoder, percent, frame, sizeof frame), expected, n_expected);
}

static void received(uint8_t n_commands, const uint8_t *bytes, size_t n)
{
    leadlift_receiver_t receiver = {{0}, 0, 0, false};
    leadlift_command_t command;
    for (size_t i = 0; i < n; i++) {
        if (leadlift_receive(&receiver, bytes[i], &command)) {
            n_commands--;
        }
    }
    n_vectors++;
    n_bad += n_commands != 0;
}

/* The sum of the lengths that frames 0 to 999 are to have. */
static void lengths(uint8_t fewest, uint8_t most, uint32_t expected)
{
    uint32_t sum = 0;
    for (encoder.sequence = 0; encoder.sequence < 1000; encoder.sequence++) {
        sum += leadlift_frame_samples(&encoder, fewest, most);
    }
    n_vectors++;
    n_bad += sum != expected;
}

#include "vectors.h"

int main(void)
{
    char text[40];
    UCSR0B = 1 << TXEN0;
    run_vectors();
    sprintf(text, "int %u bits, %u vectors, %u bad\n", (unsigned)(8 * sizeof(int)), n_vectors, n_bad);
    say(text);
    cli();
    sleep_mode(); /* ends simavr */
}
