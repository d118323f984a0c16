/* board.c: runs the decoder's check on a bare Cortex-M in QEMU, and prints what it found by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include "leadlift_decoder.h"
#include "leadlift_decoder_check.h"

extern uint32_t _sidata[], _sdata[], _edata[], _sbss[], _ebss[], _estack[];
void reset(void);
int main(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

/* All that the decoder needs of a C library: words where it can, as any library does. */
void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (; n >= 4u && ((uintptr_t)t | (uintptr_t)f) % 4u == 0u; n -= 4u, t += 4, f += 4) {
        *(uint32_t *)t = *(const uint32_t *)f;
    }
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

__attribute__((section(".vectors"), used)) static const void *const VECTORS[16] = {_estack, (const void *)reset};

#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define MAX_TICKS 0xFFFFFFu

static uint32_t clock(void) /* counts up; QEMU's -icount makes it a count of instructions */
{
    static uint32_t turns, last;
    const uint32_t now = MAX_TICKS - SYSTICK[2];
    turns += now < last;
    last = now;
    return turns * (MAX_TICKS + 1u) + now;
}

static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void put(const char *text) { semihosting(4, text); }

static void number(const char *what, uint32_t value)
{
    char digits[11];
    int i = 10;
    digits[i] = 0;
    do {
        digits[--i] = (char)('0' + value % 10u);
    } while (value /= 10u);
    put(what);
    put(" ");
    put(digits + i);
    put("\n");
}

int main(void)
{
    SYSTICK[1] = MAX_TICKS;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    const leadlift_decoder_check_t found = leadlift_decoder_check(clock);
    put("kernel ");
    put(leadlift_decoder_kernel());
    put("\n");
    number("hops", found.hops);
    number("wrong_hops", found.wrong_hops);
    number("states", found.states);
    number("wrong_states", found.wrong_states);
    number("ticks_a_hop", (uint32_t)(found.ticks / found.hops));
    semihosting(0x18, (const void *)0x20026);
    for (;;) {
    }
}

void reset(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* FPU and MVE on, where there are any */
    __asm__ volatile("dsb\nisb");
    for (uint32_t *from = _sidata, *to = _sdata; to < _edata;) {
        *to++ = *from++;
    }
    for (uint32_t *to = _sbss; to < _ebss;) {
        *to++ = 0;
    }
    main();
}
