"""A folder of text files in, a whole study and its report out.

    python examples/report_on_my_texts.py FOLDER [OUT]

The recipe `domain` counts the words of the texts, keeps the pieces written in the frequent ones, trains a
grid of small models on them and scores them. Under twenty minutes on two cores; interrupt and repeat freely.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lilliput.study import load_recipe, run_study


def main(texts: str, out: str = "my-study", *overrides: str) -> Path:
    """The path of the report on the files in `texts`; each override is KEY=VALUE."""
    recipe = load_recipe("domain", [f"paths.data={texts}", *overrides])
    result = run_study(recipe, Path(out), command=f"python examples/report_on_my_texts.py {texts}")
    print(result.summary())
    return result.report


def run(arguments: Sequence[str]) -> None:
    """Call `main` with the arguments of the command line."""
    if not arguments:
        sys.exit(__doc__)
    main(*arguments)


if __name__ == "__main__":  # Workers of the study import this file again.
    run(sys.argv[1:])
