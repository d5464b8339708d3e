"""The tokens of a corpus with three lines of NumPy: no lilliput needed to read what lilliput wrote.

    python examples/read_token_store.py STORE [DOCUMENT]

STORE is a folder such as STUDY/tokens/constrained; DOCUMENT counts from 0.
"""

import sys
from pathlib import Path

import numpy as np


def main(store: str, document: int = 0) -> np.ndarray:
    """The ids of one document of the train split, uint16 of shape (length,)."""
    tokens = np.load(Path(store) / "train.tokens.npy", mmap_mode="r")
    offsets = np.load(Path(store) / "train.offsets.npy")
    ids = tokens[offsets[document] : offsets[document + 1]]
    print(
        f"document {document} of {len(offsets) - 1:,}, {len(ids)} of {len(tokens):,} tokens: {ids[:12]} …"
    )
    return ids


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:3]))
