"""Where somebody comes in: the command line, the window, and how each of them speaks."""
