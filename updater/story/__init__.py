"""What happens, in its order: prepare, ask once, perform."""
