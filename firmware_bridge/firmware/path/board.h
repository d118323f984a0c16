/* board.h: a bare Cortex-M in QEMU for check.c: its start, a clock that counts instructions, words by semihosting. */
#include <stddef.h>

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_low[], stack_top[];
void reset(void);
int main(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

__attribute__((section(".vectors"), used)) static const void *const VECTORS[16] = {stack_top, (const void *)reset};

#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define MAX_TICKS 0xFFFFFFu
#define PAINT 0xA5A5A5A5u

/* All that the path needs of a C library. */
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
    for (uint8_t *t = to; n-- > 0u; t++) {
        *t = (uint8_t)value;
    }
    return to;
}

static uint32_t clock(void) /* counts up; with QEMU's -icount a tick is a fixed number of instructions */
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

static void number(const char *what, uint32_t value, uint32_t base)
{
    char digits[12];
    int i = 11;
    digits[i] = 0;
    digits[--i] = '\n';
    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0u || (base == 16u && i > 2));
    put(what);
    put(digits + i);
}

/* What was written below `here` since it was painted. */
static uint32_t stack_used(const uint32_t *here)
{
    const uint32_t *low = stack_low;
    while (low < here && *low == PAINT) {
        low++;
    }
    return (uint32_t)((const uint8_t *)here - (const uint8_t *)low);
}

int main(void)
{
    const uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t *word = stack_low; word < here; word++) {
        *word = PAINT;
    }
    SYSTICK[1] = MAX_TICKS;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    const found_t found = run(clock);
    put("kernel ");
    put(leadlift_decoder_kernel());
    number("\nhops ", found.hops, 10);
    number("crc ", found.crc, 16);
    number("state ", (uint32_t)(sizeof path + sizeof twelve), 10);
    number("stack ", stack_used(here), 10);
    number("instructions ", (uint32_t)((uint64_t)found.ticks * NS_A_TICK / found.hops), 10);
    number("most_instructions ", found.most_ticks * NS_A_TICK, 10);
    semihosting(0x18, (const void *)0x20026);
    for (;;) {
    }
}

void reset(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* FPU and MVE on, where there are any */
    __asm__ volatile("dsb\nisb");
    for (uint32_t *from = data_load, *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    main();
}
