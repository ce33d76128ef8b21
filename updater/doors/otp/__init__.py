"""`updater otp`."""
