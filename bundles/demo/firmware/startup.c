/* Vector table and reset handler. There is no .data and no .bss (sections.ld asserts it), so there is nothing to copy or clear. */
#include "chip.h"
#include "rom.h"

typedef void (*vector_t)(void);

extern uint32_t initial_stack_pointer[]; /* the linker script's */

_Noreturn void main(void);
_Noreturn void Reset_Handler(void);

static void Default_Handler(void)
{
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const vector_t vectors[16 + IRQ_COUNT] = {
    [0] = (vector_t)initial_stack_pointer,
    [1] = Reset_Handler,
    [2 ... 15 + IRQ_COUNT] = Default_Handler,
};

_Noreturn void Reset_Handler(void)
{
    enter_rom_if_requested(); /* first: the ROM must find the chip as the reset left it */
    clean_up_after_rom();
    SCB_VTOR = (uint32_t)vectors; /* after "leave" it may still be the ROM's */
    main();
}
