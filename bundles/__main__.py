"""`python -m bundles`."""

import sys

from bundles.cli import main

if __name__ == "__main__":
    sys.exit(main())
