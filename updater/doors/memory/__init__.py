"""`updater read`, `write`, `dfu` and `unprotect`."""
