"""The virtual devices, held against AN3156, DFU 1.1, USB 2.0 and the USB/IP protocol."""
