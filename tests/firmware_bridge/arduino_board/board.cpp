/*
 * board.cpp: a board in simulated time: an ADS1293 that converts at 400 Hz, and a UART whose transmit buffer drains
 * at its baud rate. Runs the sketch; what leaves the UART goes to stdout, what became of it to stderr.
 *
 *     board SECONDS BUFFER BAUD KIND [MS:HEX ...]
 *
 * BUFFER: bytes that the UART holds. BAUD: 0 takes the sketch's. KIND: `tells` its room, `silent` about it (always 0,
 * write waits), `absent` (USB without a host until half of the time has passed: no room, write takes nothing).
 * MS:HEX: bytes from the host at that time.
 */
#include "Arduino.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void setup();
void loop();
SPIClass SPI;
HardwareSerial Serial;

static const uint64_t CONVERSION_US = 2500;
static const uint64_t LOOP_US = 15; /* of a loop beside what the simulated calls take */

static uint64_t now_us, end_us;
static uint64_t longest_write_us;
static size_t buffer_bytes;
static double held_bytes, bytes_per_us;
static unsigned long forced_baud;
static bool tells_room, without_host;

static void (*data_ready)();
static uint32_t n_conversions;
static uint8_t registers[128];

static uint8_t host_bytes[256];
static uint64_t host_us[256];
static size_t n_host, n_read;

static bool absent()
{
    return without_host && now_us < end_us / 2;
}

/* Conversion number n is 3n, 3n + 1 and 3n + 2 counts above zero volts, so that a host knows which one it has. */
static void convert()
{
    for (unsigned channel = 0; channel < 3; channel++) {
        uint32_t code = (1u << 22) + n_conversions * 3 + channel;
        for (unsigned i = 0; i < 3; i++) {
            registers[0x37 + 3 * channel + i] = (uint8_t)(code >> (16 - 8 * i));
        }
    }
    n_conversions++;
    if (data_ready != nullptr) {
        data_ready();
    }
}

static void pass(uint64_t us)
{
    for (; us > 0; us--) {
        now_us++;
        held_bytes = held_bytes > bytes_per_us ? held_bytes - bytes_per_us : 0;
        if (registers[0] == 1 && now_us % CONVERSION_US == 0) {
            convert();
        }
    }
}

void pinMode(int, int) {}
void noInterrupts() {}
void interrupts() {}
int digitalPinToInterrupt(int pin) { return pin; }
void attachInterrupt(int, void (*handler)(), int) { data_ready = handler; }
void delay(uint32_t ms) { pass(ms * 1000ull); }
uint32_t millis() { return (uint32_t)(micros() / 1000); }

uint32_t micros()
{
    pass(1);
    return (uint32_t)now_us;
}

/* SPI: the first byte after chip select is the address, bit 7 of it reads, and it counts up. */
static uint8_t address;
static bool has_address;

void digitalWrite(int, int) { has_address = false; }
SPISettings::SPISettings(uint32_t, int, int) {}
void SPIClass::begin() {}
void SPIClass::beginTransaction(SPISettings) {}
void SPIClass::endTransaction() {}

uint8_t SPIClass::transfer(uint8_t byte)
{
    pass(2);
    if (!has_address) {
        has_address = true;
        address = byte;
        return 0;
    }
    uint8_t *place = &registers[address & 0x7F];
    bool reads = (address & 0x80) != 0;
    address = (uint8_t)((address & 0x80) | ((address + 1) & 0x7F));
    if (reads) {
        return *place;
    }
    *place = byte;
    return 0;
}

void HardwareSerial::begin(unsigned long baud)
{
    bytes_per_us = (double)(forced_baud != 0 ? forced_baud : baud) / 10e6;
}

int HardwareSerial::available()
{
    return n_read < n_host && host_us[n_read] <= now_us ? 1 : 0;
}

int HardwareSerial::read()
{
    return available() > 0 ? host_bytes[n_read++] : -1;
}

int HardwareSerial::availableForWrite()
{
    return tells_room && !absent() ? (int)((double)buffer_bytes - held_bytes) : 0;
}

size_t HardwareSerial::write(uint8_t byte)
{
    return write(&byte, 1);
}

size_t HardwareSerial::write(const uint8_t *bytes, size_t n)
{
    if (absent()) {
        return 0;
    }
    uint64_t begin_us = now_us;
    for (size_t i = 0; i < n; i++) {
        while (held_bytes > (double)buffer_bytes - 1) {
            pass(1);
        }
        held_bytes += 1;
        putchar(bytes[i]);
    }
    if (now_us - begin_us > longest_write_us) {
        longest_write_us = now_us - begin_us;
    }
    return n;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments < 5) {
        return 2;
    }
    end_us = (uint64_t)(atof(arguments[1]) * 1e6);
    buffer_bytes = (size_t)atol(arguments[2]);
    forced_baud = (unsigned long)atol(arguments[3]);
    tells_room = strcmp(arguments[4], "silent") != 0;
    without_host = strcmp(arguments[4], "absent") == 0;
    for (int i = 5; i < n_arguments; i++) {
        char *hex = strchr(arguments[i], ':') + 1;
        for (; *hex != '\0'; hex += 2) {
            unsigned byte;
            sscanf(hex, "%2x", &byte);
            host_us[n_host] = (uint64_t)atol(arguments[i]) * 1000;
            host_bytes[n_host++] = (uint8_t)byte;
        }
    }
    setup();
    while (now_us < end_us) {
        loop();
        pass(LOOP_US);
    }
    fprintf(stderr, "conversions %u\nlongest_write_us %llu\n", (unsigned)n_conversions,
            (unsigned long long)longest_write_us);
    return 0;
}
