/* board.c: QEMU's mps2-an385, a Cortex-M3 at 25 MHz, from its reset vector up. */
#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define CLOCK_HZ 25000000u
#define WAKE_HZ 1000u

#define SYST_CSR REG(0xE000E010u)
#define SYST_RVR REG(0xE000E014u)
#define NVIC_ISER0 REG(0xE000E100u)

#define UART0_DATA REG(0x40004000u)
#define UART0_STATE REG(0x40004004u)
#define UART0_CTRL REG(0x40004008u)
#define UART0_INTCLEAR REG(0x4000400Cu)
#define UART0_BAUDDIV REG(0x40004010u)
#define UART_TX_FULL 1u
#define UART_RX_FULL 2u
#define UART_ENABLE 0xBu /* transmit, receive, receive interrupt */
#define UART_RX_INTERRUPT 2u
#define UART0_RX_IRQ 0u

#define FPGAIO_COUNTER REG(0x40028018u)
#define FPGAIO_PRESCALE REG(0x4002801Cu)

/* Longer than the largest frame; 100 ms of three leads at 500 Hz, after which frames are dropped. */
#define QUEUE_BYTES 1024u

extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end, boot_count;

int main(void);
void reset_handler(void);
void sys_tick_handler(void);
void uart0_rx_handler(void);
void fault_handler(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

static uint8_t queue[QUEUE_BYTES];
static uint32_t queued, sent; /* bytes ever queued and sent; their difference is what waits */

typedef void (*vector_t)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    vector_t handler[16];
} vectors = {
    &stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, 0, 0, 0, 0,
     fault_handler, fault_handler, 0, fault_handler, sys_tick_handler, uart0_rx_handler},
};

void fault_handler(void)
{
    for (;;) {
    }
}

void sys_tick_handler(void)
{
    /* It only wakes the main loop, which asks the microsecond timer what is due. */
}

void uart0_rx_handler(void)
{
    UART0_INTCLEAR = UART_RX_INTERRUPT;
    while ((UART0_STATE & UART_RX_FULL) != 0u) {
        board_received((uint8_t)UART0_DATA);
    }
}

void reset_handler(void)
{
    memcpy(&data_start, &data_load, (size_t)((uint8_t *)&data_end - (uint8_t *)&data_start));
    memset(&bss_start, 0, (size_t)((uint8_t *)&bss_end - (uint8_t *)&bss_start));
    main();
    fault_handler();
}

void board_init(void)
{
    boot_count++;
    FPGAIO_PRESCALE = CLOCK_HZ / 1000000u - 1u;
    UART0_BAUDDIV = CLOCK_HZ / 115200u;
    UART0_CTRL = UART_ENABLE;
    NVIC_ISER0 = 1u << UART0_RX_IRQ;
    SYST_RVR = CLOCK_HZ / WAKE_HZ - 1u;
    SYST_CSR = 7; /* on, with its interrupt, from the core's clock */
}

uint32_t board_now_us(void)
{
    return FPGAIO_COUNTER;
}

void board_sleep(void)
{
    __asm__ volatile("wfi");
}

bool board_send(const uint8_t *bytes, size_t n)
{
    if (n > QUEUE_BYTES - (queued - sent)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        queue[queued++ % QUEUE_BYTES] = bytes[i];
    }
    return true;
}

void board_flush(void)
{
    while (sent != queued && (UART0_STATE & UART_TX_FULL) == 0u) {
        UART0_DATA = queue[sent++ % QUEUE_BYTES];
    }
}

uint8_t board_boot_count(void)
{
    return (uint8_t)boot_count; /* in RAM that the start-up leaves alone; a product keeps it in flash */
}

/* The two that gcc may call on its own, where no C library has them. */
void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    while (n-- > 0u) {
        *t++ = *f++;
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to;
    while (n-- > 0u) {
        *t++ = (uint8_t)value;
    }
    return to;
}
