"""Links, clicked and registered."""
