/* The few registers the demo firmware touches, per chip.
 *
 * Addresses and bits: RM0090 (STM32F405) and RM0433 (STM32H743), register maps of RCC, GPIO, USART and SYSCFG;
 * the system control block: ARMv7-M Architecture Reference Manual, B3.2. */
#ifndef CHIP_H
#define CHIP_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

/* Both chips have these at the same place. */
#define SYST_CSR REG(0xE000E010u)
#define SCB_VTOR REG(0xE000ED08u)
#define SCB_AIRCR REG(0xE000ED0Cu)
#define SCB_AIRCR_SYSRESETREQ 0x05FA0004u /* VECTKEY and the request bit */
#define USART1 0x40011000u

#define GPIO_MODER(port) REG((port) + 0x00u)
#define GPIO_AFRH(port) REG((port) + 0x24u)

#if defined(STM32F405)

#define IRQ_COUNT 82
#define HSI_HZ 16000000u

#define RCC_CFGR REG(0x40023808u)
#define RCC_GPIO_ENR REG(0x40023830u)  /* AHB1ENR */
#define RCC_APB2ENR REG(0x40023844u)
#define RCC_APB2ENR_SYSCFGEN (1u << 14)
#define SYSCFG_MEMRMP REG(0x40013800u)
#define SYSCFG_MEMRMP_SYSTEM_FLASH 1u
#define GPIOA 0x40020000u

#define USART_SR REG(USART1 + 0x00u)
#define USART_RDR REG(USART1 + 0x04u)
#define USART_TDR REG(USART1 + 0x04u)
#define USART_BRR REG(USART1 + 0x08u)
#define USART_CR1 REG(USART1 + 0x0Cu)
#define USART_CR1_UE (1u << 13)

/* AN2606, STM32F405: the system memory begins here, and the ROM's vector table with it. */
#ifndef ROM_VECTOR_TABLE
#define ROM_VECTOR_TABLE 0x1FFF0000u
#endif

#elif defined(STM32H743)

#define IRQ_COUNT 150
#define HSI_HZ 64000000u

#define RCC_CFGR REG(0x58024410u)
#define RCC_GPIO_ENR REG(0x580244E0u)  /* AHB4ENR */
#define RCC_APB2ENR REG(0x580244F0u)
#define GPIOA 0x58020000u

#define USART_SR REG(USART1 + 0x1Cu)   /* ISR */
#define USART_RDR REG(USART1 + 0x24u)
#define USART_TDR REG(USART1 + 0x28u)
#define USART_BRR REG(USART1 + 0x0Cu)
#define USART_CR1 REG(USART1 + 0x00u)
#define USART_CR1_UE (1u << 0)

/* AN2606, STM32H743: the ROM's vector table is not at the start of the system memory (0x1FF00000). */
#ifndef ROM_VECTOR_TABLE
#define ROM_VECTOR_TABLE 0x1FF09800u
#endif

#else
#error "define STM32F405 or STM32H743"
#endif

/* The same bits in both USART generations. */
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TC (1u << 6)
#define USART_SR_TXE (1u << 7)

#define RCC_GPIOAEN (1u << 0)
#define RCC_APB2ENR_USART1EN (1u << 4)

static inline _Noreturn void system_reset(void)
{
    __asm volatile("dsb" ::: "memory"); /* what was written to RAM must be there before the reset */
    SCB_AIRCR = SCB_AIRCR_SYSRESETREQ;
    for (;;) {
    }
}

#endif
