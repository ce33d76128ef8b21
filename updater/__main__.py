"""`python -m updater`."""

import sys
from io import TextIOWrapper


def main() -> int:
    """The console script's entry."""
    from updater.cli import run

    if isinstance(sys.stdout, TextIOWrapper):
        # a title that the screen's encoding lacks is no reason to fail; stderr does the same by itself
        sys.stdout.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
