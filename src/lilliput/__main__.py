"""`python -m lilliput`."""

from lilliput.cli import main

main()
