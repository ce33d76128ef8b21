"""The demo vendor: two products, their firmware, and the maker of the whole."""
