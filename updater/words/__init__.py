"""What is known, what is said, what can go wrong: nouns that every floor may use."""
