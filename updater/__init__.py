"""Field firmware updater for STM32 products."""

__version__ = "0.1.0"
