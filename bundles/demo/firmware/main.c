/* Says who it is on USART1 (PA9, PA10; 115,200 baud), then obeys 'R': restart in the ROM bootloader.
 *
 * It runs on the HSI, the oscillator both chips start with, and waits for no RCC flag: an emulator without a model of the RCC runs it too. */
#include "chip.h"
#include "product.h"
#include "rom.h"

#define BAUD 115200u

static void serial_begin(void)
{
    RCC_GPIO_ENR |= RCC_GPIOAEN;
    RCC_APB2ENR |= RCC_APB2ENR_USART1EN;
    (void)RCC_APB2ENR; /* ES0182: a peripheral needs two cycles after its clock is enabled */
    GPIO_MODER(GPIOA) = (GPIO_MODER(GPIOA) & ~(0xFu << 18)) | (0xAu << 18); /* PA9, PA10: alternate function */
    GPIO_AFRH(GPIOA) = (GPIO_AFRH(GPIOA) & ~(0xFFu << 4)) | (0x77u << 4);   /* number 7: USART1 */
    USART_BRR = (HSI_HZ + BAUD / 2) / BAUD; /* no prescaler is on after reset: the bus runs at the HSI's rate */
    USART_CR1 = USART_CR1_TE | USART_CR1_RE;
    USART_CR1 |= USART_CR1_UE;
}

static void put_char(char character)
{
    while (!(USART_SR & USART_SR_TXE)) {
    }
    USART_TDR = (uint8_t)character;
}

static void put_text(const char *text)
{
    while (*text) {
        put_char(*text++);
    }
}

static void put_number(uint32_t number)
{
    if (number >= 10) {
        put_number(number / 10);
    }
    put_char((char)('0' + number % 10));
}

static void put_version(const uint16_t version[4])
{
    put_number(version[0]);
    put_char('.');
    put_number(version[1]);
    put_char('.');
    put_number(version[2]);
}

static void say_who_we_are(void)
{
    put_text(product_header.product);
    put_char(' ');
    put_version(product_header.version);
    put_text(" (hardware ");
    put_text(product_header.hardware);
    put_text(", security counter ");
    put_number(product_header.security_counter);
    put_text(")\r\n");
}

static void say_which_voice(void)
{
    put_text("voice ");
    put_version(voice.version);
    put_text(", ");
    put_number(voice.count);
    put_text(" samples\r\n");
}

static char get_char(void)
{
    while (!(USART_SR & USART_SR_RXNE)) {
    }
    return (char)USART_RDR;
}

static void wait_until_sent(void)
{
    while (!(USART_SR & USART_SR_TC)) {
    }
}

_Noreturn void main(void)
{
    serial_begin();
    say_who_we_are();
    say_which_voice(); /* second: on the STM32H743 a half-written flash word is a bus fault, and the first line is out by then */
    for (;;) {
        if (get_char() == 'R') {
            put_text("restarting in the ROM bootloader\r\n");
            wait_until_sent(); /* the reset would cut the line short */
            request_rom();
        }
    }
}
