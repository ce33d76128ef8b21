"""One-time-programmable memory: what its bytes mean, what may be burnt, and what is said of it."""
