"""`python -m hactl`."""

import sys

from hactl.cli.main import main

# What a lock's holder and the history call this process.
sys.argv[0] = "hactl"
main()
