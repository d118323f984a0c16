/* board.h: what the demo needs of a board: a microsecond timer, a converter's schedule, a UART. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void board_init(void);

/* Microseconds since some moment before the boot, modulo 2^32; never stops. */
uint32_t board_now_us(void);

/* Sleep until the next interrupt; one comes every millisecond. */
void board_sleep(void);

/* Queue `n` bytes for the UART, all or none; false if there is no room. Main loop only. */
bool board_send(const uint8_t *bytes, size_t n);

/* Give the UART what it takes of the queue without waiting. Main loop only. */
void board_flush(void);

/* A number that is another one after each reset. */
uint8_t board_boot_count(void);

/* Called from the receive interrupt with each byte from the host; main.c has it. */
void board_received(uint8_t byte);

#endif
