/* arduino.h: as much of Arduino.h and SPI.h (ESP32) as the sketch uses, to compile it; nothing runs. */
#ifndef STUB_ARDUINO_H
#define STUB_ARDUINO_H

#include <stddef.h>
#include <stdint.h>

#define IRAM_ATTR
#define LOW 0
#define HIGH 1
#define OUTPUT 1
#define INPUT_PULLUP 2
#define FALLING 3
#define MSBFIRST 1
#define SPI_MODE0 0

void pinMode(int pin, int mode);
void digitalWrite(int pin, int value);
int digitalPinToInterrupt(int pin);
void attachInterrupt(int interrupt, void (*handler)(), int mode);
void noInterrupts();
void interrupts();
void delay(uint32_t ms);
uint32_t micros();
uint32_t millis();
uint32_t esp_random();

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
