/* A stand-in for the ROM, which QEMU's board lacks: says whether it was entered like after a reset, then "leaves"
 * as AN3156 describes: stack pointer and program counter from the vector table of the application. */
    .syntax unified
    .cpu cortex-m4
    .thumb

    .set STACK_POINTER, 0x20001000
    .set USART1, 0x40011000

    .text
    .global vectors
vectors:
    .word STACK_POINTER
    .word entry + 1

    .thumb_func
entry:
    ldr r4, =USART1
    ldr r0, =0x200C             /* CR1: UE, TE, RE */
    str r0, [r4, #0x0C]
    mrs r0, msp
    ldr r1, =STACK_POINTER
    cmp r0, r1
    ite eq
    ldreq r5, =right
    ldrne r5, =wrong
say:
    ldrb r0, [r5], #1
    cbz r0, leave
    str r0, [r4, #4]
    b say
leave:
    ldr r0, =0x08000000
    ldr r1, [r0]
    msr msp, r1
    ldr r0, [r0, #4]
    bx r0

    .ltorg
right:
    .asciz "stand-in ROM with its own stack\r\n"
wrong:
    .asciz "stand-in ROM with a foreign stack\r\n"
