"""`python -m hactl`."""

from hactl.cli.main import main

main()
