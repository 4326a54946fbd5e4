"""`python -m repr_toolkit` is the `repr-toolkit` command."""

import sys

from repr_toolkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
