/*
 * main.c: a wearable that plays one heartbeat for ever and obeys its host; the pattern for a real one.
 *
 * The main loop encodes and sends. The receive interrupt decodes commands and leaves them in a mailbox.
 */
#include "../leadlift.h"
#include "board.h"
#include "ecg_table.h"

#define CHANNELS 3u
#define FEWEST_SAMPLES 7u /* 25 frames/s at 250 Hz on average: 40 ms */
#define MOST_SAMPLES 13u  /* 117 + 23 bytes: one BLE notification */
#define NANOVOLTS_PER_LSB 50u
#define LSB_PER_MICROVOLT (1000u / NANOVOLTS_PER_LSB)

static leadlift_encoder_t encoder;
static leadlift_stream_info_t info = {
    .device = "leadlift demo",
    .firmware = "1.0",
    .rate_millihertz = 250000,
    .nanovolts_per_lsb = NANOVOLTS_PER_LSB,
    .config_id = 1,
    .sample_bits = 24,
    .channels = CHANNELS,
    .leads = {LEADLIFT_LEAD_II, LEADLIFT_LEAD_V1, LEADLIFT_LEAD_V5},
};
static uint8_t session;
static bool sampling;

static int32_t counts[MOST_SAMPLES][CHANNELS];
static uint8_t n_counts;      /* samples in `counts` */
static uint8_t frame_samples; /* as many as the frame at hand is to have */
static uint32_t first_us;     /* when the first of them was taken */
static uint32_t next_us;      /* when the converter takes the next one */
static uint32_t table_row;
static uint32_t info_sent_us;

static uint8_t frame[LEADLIFT_MAX_FRAME_BYTES];

/* A full queue drops the frame. It was counted, so the host knows exactly what it missed. */
static void send(size_t n_bytes)
{
    (void)board_send(frame, n_bytes);
}

static void send_info(void)
{
    info_sent_us = board_now_us();
    send(leadlift_encode_stream_info(&encoder, frame, sizeof frame));
}

static void begin_session(void)
{
    (void)leadlift_begin(&encoder, &info, ++session);
    n_counts = 0;
    table_row = 0;
    next_us = board_now_us();
    send_info();
}

static uint32_t rate_hz(void)
{
    return info.rate_millihertz / 1000u;
}

/* The converter: one sample of every channel each 1 / rate. A board has its data-ready interrupt for that. */
static void take_sample(void)
{
    if (n_counts == 0u) {
        first_us = next_us;
        frame_samples = leadlift_frame_samples(&encoder, FEWEST_SAMPLES, MOST_SAMPLES);
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        counts[n_counts][i] = ECG_TABLE_UV[table_row][i] * (int32_t)LSB_PER_MICROVOLT;
    }
    table_row = (table_row + ECG_TABLE_HZ / rate_hz()) % ECG_TABLE_ROWS;
    next_us += 1000000u / rate_hz();
    n_counts++;
}

static void take_samples_due(void)
{
    /* By the clock, not by counting interrupts: an emulator that is held up merges those. */
    while (sampling && (int32_t)(board_now_us() - next_us) >= 0) {
        take_sample();
        if (n_counts == frame_samples) {
            send(leadlift_encode_samples(&encoder, &counts[0][0], n_counts, first_us, 0, frame,
                                         sizeof frame));
            n_counts = 0;
        }
    }
}

/* The mailbox: the interrupt fills it while it is empty, the main loop empties it. */
static leadlift_receiver_t receiver;
static leadlift_command_t command;
static volatile bool command_waits;

void board_received(uint8_t byte)
{
    leadlift_command_t received;
    if (leadlift_receive(&receiver, byte, &received) && !command_waits) {
        command = received;
        __asm__ volatile("" ::: "memory"); /* the command is there before the flag says so */
        command_waits = true;
    }
}

/* Every command is answered by stream info; one that asks for what is so already changes nothing. */
static void obey(const leadlift_command_t *asked)
{
    bool new_rate = asked->type == LEADLIFT_SET_RATE && asked->rate_millihertz != info.rate_millihertz &&
                    (asked->rate_millihertz == 250000u || asked->rate_millihertz == 500000u);
    bool start = asked->type == LEADLIFT_START && !sampling;
    if (new_rate) {
        info.rate_millihertz = asked->rate_millihertz;
        info.config_id++;
    }
    if (asked->type == LEADLIFT_STOP) {
        sampling = false;
    }
    if (new_rate || start) {
        sampling = sampling || start;
        begin_session();
    } else {
        send_info();
    }
}

int main(void)
{
    const uint8_t delimiter = LEADLIFT_DELIMITER;
    board_init();
    session = (uint8_t)(board_boot_count() * 16u); /* a boot leaves room for 15 starts before the next one's */
    (void)board_send(&delimiter, 1);               /* ends whatever the line held before */
    sampling = true;
    begin_session();
    for (;;) {
        if (command_waits) {
            leadlift_command_t asked = command;
            __asm__ volatile("" ::: "memory");
            command_waits = false;
            obey(&asked);
        }
        if (board_now_us() - info_sent_us >= LEADLIFT_STREAM_INFO_PERIOD_US) {
            send_info();
        }
        take_samples_due();
        board_flush();
        board_sleep();
    }
}
