"""They think and never touch: no USB, no clock, no file."""
