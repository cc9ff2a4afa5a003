"""Lets `python -m fewbits` stand for the command `fewbits`."""

import sys

from fewbits.cli import main

sys.exit(main())
