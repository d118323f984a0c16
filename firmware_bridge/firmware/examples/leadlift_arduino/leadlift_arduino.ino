/*
 * leadlift_arduino.ino: II, V1 and V5 from an ADS1293 to the serial port, on an ESP32 or any 32-bit Arduino.
 *
 * A SKETCH: compiled against stubs, not tried on a board. Put leadlift.h, leadlift.c, ads1293.h and ads1293.c
 * beside it, set the pins, and on the host: leadlift run --source serial:/dev/ttyUSB0?baud=460800
 */
#include <Arduino.h>
#include <SPI.h>

#include "ads1293.h"
#include "leadlift.h"

static const int CS_PIN = 5;
static const int DRDY_PIN = 4;
static const uint8_t FRAME_SAMPLES = 16; /* 25 frames/s at 400 Hz */

static leadlift_stream_info_t info;
static leadlift_encoder_t encoder;
static leadlift_receiver_t receiver;
static uint8_t session;
static bool sampling;

static int32_t counts[FRAME_SAMPLES][ADS1293_CHANNELS];
static uint8_t n_counts, frame_lead_off;
static uint32_t first_us, info_sent_ms;
static uint8_t frame[LEADLIFT_MAX_FRAME_BYTES];

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

/* All or nothing: a frame that does not fit is dropped, was counted, and shows as a gap at the host. */
static void send(size_t n_bytes)
{
    if (Serial.availableForWrite() >= (int)n_bytes) {
        Serial.write(frame, n_bytes);
    }
}

static void send_info()
{
    info_sent_ms = millis();
    send(leadlift_encode_stream_info(&encoder, frame, sizeof frame));
}

static void send_samples()
{
    if (n_counts > 0) {
        send(leadlift_encode_samples(&encoder, &counts[0][0], n_counts, first_us, frame_lead_off, frame,
                                     sizeof frame));
        n_counts = 0;
    }
}

static void begin_session()
{
    session++;
    leadlift_begin(&encoder, &info, session);
    n_counts = 0;
    taken_count = ready_count;
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
    uint8_t lead_off;
    ads1293_read(transfer, NULL, counts[n_counts], &lead_off);
    frame_lead_off = n_counts == 0 ? lead_off : (uint8_t)(frame_lead_off | lead_off);
    first_us = n_counts == 0 ? now_us : first_us;
    n_counts++;
    if (n_counts == FRAME_SAMPLES) {
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

void setup()
{
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
    Serial.begin(460800);
    SPI.begin();
    Serial.write((uint8_t)LEADLIFT_DELIMITER); /* ends what the bootloader printed */
    session = (uint8_t)esp_random();
    while (!ads1293_start(transfer, NULL)) {
        delay(1000); /* no ADS1293 answers: check the wiring; the host reports a silent device */
    }
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
}
