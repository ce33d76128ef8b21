"""`install --all` and `updater station`."""
