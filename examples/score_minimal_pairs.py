"""Does a model prefer the grammatical sentence? Minimal pairs, with intervals and the untrained baseline.

    python examples/score_minimal_pairs.py RUN TOKENIZER [PAIRS]

RUN and TOKENIZER are folders that `examples/train_and_export.py` leaves (OUT/run and OUT/tokenizers/NAME).
PAIRS is a JSON Lines file with `sentence_good` and `sentence_bad`, or a folder of them such as BLiMP;
without it three pairs of the kind are written and scored, too few to conclude anything.
"""

import json
import sys
from pathlib import Path

from lilliput.evaluation import Score, evaluate_pairs

PAIRS = [
    ("The man goes to the house.", "The man go to the house."),
    ("The women are in the city.", "The women is in the city."),
    ("He gave the water to her.", "He gave the water to she."),
]


def main(run: str, tokenizer: str, pairs: str = "") -> list[Score]:
    """Accuracy of each paradigm and of their mean, from trained and from untrained weights."""
    data = Path(pairs) if pairs else write_pairs(Path(run).parent / "pairs")
    scores = evaluate_pairs(Path(run), data, Path(tokenizer), Path(run).parent / "scores-of-pairs")
    for score in scores:
        if score.weights == "trained":
            interval = "" if score.low is None else f" [{score.low:.2f}, {score.high:.2f}]"
            print(
                f"{score.task}: {score.value:.2f}{interval}, untrained {score.baseline:.2f}, n {score.n}"
            )
            if score.note:
                print(f"  {score.note}")
    return scores


def write_pairs(folder: Path) -> Path:
    """The three pairs as a file; its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in PAIRS]
    (folder / "agreement.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:4])
