/* SPI.h: the SPI of the simulated board; Arduino.h has it. */
#include "Arduino.h"
