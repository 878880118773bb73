"""`python -m asgiscope`: the same as the command `asgiscope`."""

import sys

from asgiscope.cli import main

if __name__ == "__main__":
    sys.exit(main())
