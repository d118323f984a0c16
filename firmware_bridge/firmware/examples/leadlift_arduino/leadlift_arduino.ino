/*
 * leadlift_arduino.ino: II, V1 and V5 from an ADS1293 to the serial port, on an ESP32 or another Arduino.
 *
 * A SKETCH: run on a simulated board, not tried on a real one. Set the pins and, on the host:
 * leadlift run --source serial:/dev/ttyUSB0?baud=460800
 */
#include <Arduino.h>
#include <SPI.h>

#include <ads1293.h>
#include <leadlift.h>

#ifndef IRAM_ATTR /* of the ESP32 and ESP8266: interrupt handlers live in RAM */
#define IRAM_ATTR
#endif

static const int CS_PIN = 5;
static const int DRDY_PIN = 4; /* with an interrupt: 2 or 3 on an Uno */
static const unsigned long BAUD = 460800; /* 500000 on a 16 MHz AVR, which makes 460800 badly */
static const uint8_t FEWEST_SAMPLES = 11, MOST_SAMPLES = 21; /* in a frame: 25 frames/s at 400 Hz */
static const uint16_t QUEUE_BYTES = 512; /* 120 ms; a power of two, more than the longest frame */

static leadlift_stream_info_t info;
static leadlift_encoder_t encoder;
static leadlift_receiver_t receiver;
static uint8_t session;
static bool sampling;

static int32_t counts[MOST_SAMPLES][ADS1293_CHANNELS];
static uint8_t n_counts, frame_samples, frame_lead_off;
static uint32_t first_us, info_sent_ms;
static uint8_t frame[LEADLIFT_SAMPLES_FRAME_BYTES(ADS1293_CHANNELS, MOST_SAMPLES, 24)];

static uint8_t queue[QUEUE_BYTES]; /* bytes on their way to the UART */
static uint16_t queued, sent;      /* bytes ever queued and sent; their difference is what waits */
static uint32_t frames_dropped;    /* for a debugger or a display; the host counts them by itself */
static bool room_is_told;          /* the UART has said at least once that it has room */

static volatile uint32_t ready_count, ready_us; /* of the data-ready interrupt */
static uint32_t taken_count;

static void IRAM_ATTR on_data_ready()
{
    ready_us = micros();
    ready_count = ready_count + 1;
}

static void transfer(void *, const uint8_t *out, uint8_t *in, size_t n)
{
    SPI.beginTransaction(SPISettings(4000000, MSBFIRST, SPI_MODE0));
    digitalWrite(CS_PIN, LOW);
    for (size_t i = 0; i < n; i++) {
        in[i] = SPI.transfer(out[i]);
    }
    digitalWrite(CS_PIN, HIGH);
    SPI.endTransaction();
}

/* All or nothing: a frame that finds no room is dropped whole. It was counted, and is a gap at the host. */
static void queue_frame(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes > (size_t)(QUEUE_BYTES - (uint16_t)(queued - sent))) {
        frames_dropped++;
        return;
    }
    for (size_t i = 0; i < n_bytes; i++) {
        queue[queued++ % QUEUE_BYTES] = bytes[i];
    }
}

/*
 * Give the UART what it takes without waiting. A frame never waits until all of it fits: many UARTs have less
 * room than one frame (an ESP32 128 bytes, an Uno 63). A core that never tells of room (always 0) gets a byte
 * each time, which waits for one byte at most.
 */
static void flush_queue()
{
    int room = Serial.availableForWrite();
    room_is_told = room_is_told || room > 0;
    if (!room_is_told) {
        room = 1;
    }
    while (room > 0 && sent != queued) {
        size_t at = sent % QUEUE_BYTES;
        size_t n = (uint16_t)(queued - sent);
        n = n > QUEUE_BYTES - at ? QUEUE_BYTES - at : n; /* to the queue's edge at most */
        n = n > (size_t)room ? (size_t)room : n;
        size_t taken = Serial.write(queue + at, n);
        if (taken == 0) {
            return; /* USB without a host: the queue stays full, and frames are dropped */
        }
        sent = (uint16_t)(sent + taken);
        room -= (int)taken;
    }
}

static void send_info()
{
    info_sent_ms = millis();
    queue_frame(frame, leadlift_encode_stream_info(&encoder, frame, sizeof frame));
}

static void send_samples()
{
    if (n_counts > 0) {
        queue_frame(frame, leadlift_encode_samples(&encoder, &counts[0][0], n_counts, first_us, frame_lead_off,
                                                   frame, sizeof frame));
        n_counts = 0;
    }
}

static void begin_session()
{
    session++;
    leadlift_begin(&encoder, &info, session);
    n_counts = 0;
    noInterrupts();
    taken_count = ready_count;
    interrupts();
    send_info();
}

static void take_sample()
{
    noInterrupts();
    uint32_t count = ready_count, now_us = ready_us;
    interrupts();
    if (!sampling || count == taken_count) {
        return;
    }
    uint32_t missed = count - taken_count - 1; /* conversions that the loop was too late for */
    taken_count = count;
    if (missed > 0) {
        send_samples(); /* a frame holds samples that follow on each other */
        leadlift_skip_samples(&encoder, missed);
    }
    if (n_counts == 0) {
        frame_samples = leadlift_frame_samples(&encoder, FEWEST_SAMPLES, MOST_SAMPLES);
        frame_lead_off = 0;
        first_us = now_us;
    }
    uint8_t lead_off;
    ads1293_read(transfer, NULL, counts[n_counts], &lead_off);
    frame_lead_off |= lead_off;
    n_counts++;
    if (n_counts == frame_samples) {
        send_samples();
    }
}

static void obey(const leadlift_command_t *command)
{
    bool start = command->type == LEADLIFT_START && !sampling;
    if (command->type == LEADLIFT_STOP) {
        sampling = false;
    }
    sampling = sampling || start;
    if (start) {
        begin_session();
    } else {
        send_info(); /* also the answer to SET_RATE: this device has one rate */
    }
}

/* Another number after each boot: the noise of the converter's first sample. */
static uint8_t random_session()
{
    int32_t noise[ADS1293_CHANNELS];
    uint8_t lead_off;
    delay(10); /* four conversions */
    ads1293_read(transfer, NULL, noise, &lead_off);
    uint32_t mixed = micros();
    for (uint8_t i = 0; i < ADS1293_CHANNELS; i++) {
        mixed = mixed * 31u + ((uint32_t)noise[i] >> 1); /* counts are even */
    }
    return (uint8_t)mixed;
}

void setup()
{
    static const uint8_t delimiter = LEADLIFT_DELIMITER;
    info.device = "ADS1293 on Arduino";
    info.firmware = "1.0";
    info.rate_millihertz = ADS1293_RATE_MILLIHERTZ;
    info.nanovolts_per_lsb = ADS1293_NANOVOLTS_PER_LSB;
    info.config_id = 1;
    info.sample_bits = 24;
    info.channels = ADS1293_CHANNELS;
    info.leads[0] = LEADLIFT_LEAD_II;
    info.leads[1] = LEADLIFT_LEAD_V1;
    info.leads[2] = LEADLIFT_LEAD_V5;

    pinMode(CS_PIN, OUTPUT);
    digitalWrite(CS_PIN, HIGH);
    pinMode(DRDY_PIN, INPUT_PULLUP);
    Serial.begin(BAUD);
    SPI.begin();
    queue_frame(&delimiter, 1); /* ends what the bootloader printed */
    while (!ads1293_start(transfer, NULL)) {
        delay(1000); /* no ADS1293 answers: check the wiring; the host reports a silent device */
    }
    session = random_session();
    attachInterrupt(digitalPinToInterrupt(DRDY_PIN), on_data_ready, FALLING);
    sampling = true;
    begin_session();
}

void loop()
{
    leadlift_command_t command;
    while (Serial.available() > 0) {
        if (leadlift_receive(&receiver, (uint8_t)Serial.read(), &command)) {
            obey(&command);
        }
    }
    if (millis() - info_sent_ms >= LEADLIFT_STREAM_INFO_PERIOD_US / 1000) {
        send_info();
    }
    take_sample();
    flush_queue();
}
