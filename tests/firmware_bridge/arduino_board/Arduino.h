/* Arduino.h: as much of an Arduino core as the sketch uses, for the simulated board in board.cpp. */
#ifndef SIMULATED_ARDUINO_H
#define SIMULATED_ARDUINO_H

#include <stddef.h>
#include <stdint.h>

enum { LOW, HIGH };
enum { INPUT_PULLUP = 2, OUTPUT = 3, FALLING = 2, MSBFIRST = 1, SPI_MODE0 = 0 };

void pinMode(int pin, int mode);
void digitalWrite(int pin, int value);
int digitalPinToInterrupt(int pin);
void attachInterrupt(int interrupt, void (*handler)(), int mode);
void noInterrupts();
void interrupts();
void delay(uint32_t ms);
uint32_t micros();
uint32_t millis();

struct SPISettings {
    SPISettings(uint32_t clock_hz, int bit_order, int mode);
};

struct SPIClass {
    void begin();
    void beginTransaction(SPISettings settings);
    uint8_t transfer(uint8_t byte);
    void endTransaction();
};

struct HardwareSerial {
    void begin(unsigned long baud);
    int available();
    int availableForWrite();
    int read();
    size_t write(uint8_t byte);
    size_t write(const uint8_t *bytes, size_t n);
};

extern SPIClass SPI;
extern HardwareSerial Serial;

#endif
