/* The way from the running firmware into the ROM's USB DFU bootloader. */
#ifndef ROM_H
#define ROM_H

_Noreturn void request_rom(void);
void enter_rom_if_requested(void);
void clean_up_after_rom(void);

#endif
