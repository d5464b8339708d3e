"""Run the command line for `python -m lilliput`."""

from lilliput.cli import main

main()
