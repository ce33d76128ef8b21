"""Virtual STM32 devices that behave like the silicon table says."""
