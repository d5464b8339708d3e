"""Load the fake device, then trace the cases: python run.py LIBRARY STORE [slow]."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Print the faults of the cases as JSON."""
    from load import load

    load(Path(sys.argv[1]))
    import cases

    cases.main()


if __name__ == "__main__":
    main()
