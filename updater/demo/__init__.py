"""The demo vendor, its published site, and the demo."""
