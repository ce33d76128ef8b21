"""`python -m updater`, and both programs of an executable."""

import sys
from functools import partial
from io import TextIOWrapper


def main(*, windowed: bool = False) -> int:
    """The console script's entry. `windowed`: this program has no console."""
    from updater.doors.cli import run

    if isinstance(sys.stdout, TextIOWrapper):
        # a title that the screen's encoding lacks is no reason to fail; stderr does the same by itself
        sys.stdout.reconfigure(errors="backslashreplace")
    if windowed:
        from updater.doors.windowed import run_windowed

        return run_windowed(partial(run, guarded=False), sys.argv[1:])
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
