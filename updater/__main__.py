"""`python -m updater`."""

import sys


def main() -> int:
    """The console script's entry."""
    from updater.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
