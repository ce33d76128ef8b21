/* Into the ROM: leave a mark in RAM, reset the chip, and jump in the first instructions after the reset.
 *
 * Why not jump from where we are: AN2606 asks for interrupts off, peripherals and their clocks off, the PLL off and the HSI
 * back before the jump; what is forgotten there shows up as a ROM that never appears on USB. A system reset does
 * all of it (clocks, peripherals, SysTick, pending interrupts, caches, the interrupt mask), so nothing can be forgotten.
 * Betaflight, Klipper, QMK and rusEFI settled on the same method. */
#include "rom.h"

#include "chip.h"

/* The last 16 bytes of the 128 KiB at 0x20000000: above the initial stack pointer, so nothing else writes here.
 * SRAM of the STM32F405; on the STM32H743 it is DTCM, which the data cache does not cover: no cleaning before the reset.
 * The second word is the first one inverted, so that chance contents after power-on are no request.
 * STM32H743: these are aligned 32-bit writes. The RAM has ECC per 32-bit word, and an incomplete word
 * that was written last is lost in a reset (RM0433, "Error code correction"; AN5342). Reading it before anything was written
 * can raise an ECC error, which is reported only if the RAMECC interrupts are on; they are off after reset. */
#define MARK ((volatile uint32_t *)0x2001FFF0u)
#define MARK_REQUEST 0xB007D0F5u /* enter the ROM after this reset */
#define MARK_VISIT 0xB007BAC4u   /* the ROM was entered on request, and nothing has run here since */

static void set_mark(uint32_t mark)
{
    MARK[0] = mark;
    MARK[1] = ~mark;
}

static int mark_is(uint32_t mark)
{
    return MARK[0] == mark && MARK[1] == ~mark;
}

static void clear_mark(void)
{
    MARK[0] = 0;
    MARK[1] = 0;
}

_Noreturn void request_rom(void)
{
    set_mark(MARK_REQUEST);
    system_reset();
}

static void make_rom_vectors_current(void)
{
    /* The ROM takes USB interrupts, and their vectors must be its own. */
#if defined(STM32F405)
    /* It expects its table at address 0, as after a start with BOOT0 high; VTOR is 0 after reset. */
    RCC_APB2ENR |= RCC_APB2ENR_SYSCFGEN;
    (void)RCC_APB2ENR; /* ES0182: a peripheral needs two cycles after its clock is enabled */
    SYSCFG_MEMRMP = SYSCFG_MEMRMP_SYSTEM_FLASH;
#else
    /* This chip cannot remap address 0; after reset VTOR holds the boot address, which is our own flash. */
    SCB_VTOR = ROM_VECTOR_TABLE;
#endif
    __asm volatile("dsb\n\tisb" ::: "memory");
}

static _Noreturn void jump_to_rom(void)
{
    make_rom_vectors_current();
    const volatile uint32_t *const table = (const volatile uint32_t *)ROM_VECTOR_TABLE;
    const uint32_t stack_pointer = table[0];
    const uint32_t reset_handler = table[1];
    /* In one block: the compiler must not use the stack between the two instructions. */
    __asm volatile("msr msp, %0\n\tisb\n\tbx %1" ::"r"(stack_pointer), "r"(reset_handler) : "memory");
    __builtin_unreachable();
}

void enter_rom_if_requested(void)
{
    if (mark_is(MARK_REQUEST)) {
        /* Before the jump: a request holds once, or a reset in the ROM would lead back into it for ever. */
        set_mark(MARK_VISIT);
        jump_to_rom();
    }
}

void clean_up_after_rom(void)
{
    /* "Leave" jumps out of the ROM to here without a reset, and its clocks, SysTick and USB peripheral are still on.
     * After a requested visit one more reset removes them all (Betaflight does the same, and names it RESET_BOOTLOADER_POST). */
    if (mark_is(MARK_VISIT)) {
        clear_mark();
        system_reset();
    }
    /* Without a request it was BOOT0 that chose the ROM, and with BOOT0 still high a reset would lead back into it:
     * so only put right what this firmware depends on. Both are the values after a reset. */
    SYST_CSR = 0;
    RCC_CFGR = 0; /* the HSI as system clock, no prescaler */
}
