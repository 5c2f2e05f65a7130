"""Runs the command line: `python -m ncsn_lib`."""

import sys

from ncsn_lib.cli import main

sys.exit(main())
