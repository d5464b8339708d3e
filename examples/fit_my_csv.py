"""A scaling law, with intervals, from any table of losses and costs.

    python examples/fit_my_csv.py [TABLE.csv]

The table needs a column `loss` and one that begins with `flops_`; a column `run` lets the bootstrap draw
whole runs. Other headers are given as in `load_table(path, columns={"loss": "val_loss"})`. Without a table
the 42 runs of arXiv 2305.17266 are fitted.
"""

import sys
from typing import Any

from lilliput.analysis import FitOptions, analyse_fit, load_table


def main(table: str = "paper", resamples: int = 200) -> dict[str, Any]:
    """The record of the law that fits best: parameters, breaks, candidates."""
    law = analyse_fit(load_table(table), options=FitOptions(law="auto", resamples=resamples))
    record = law.as_record()
    print(f"{record['law']}, {record['n']} points, R2 {record['r2']:.4f}")
    for name, estimate in record["parameters"].items():
        print(f"  {name} {estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]")
    for place in record["breaks"]:
        print(f"  break at {place['value']:.3g} FLOPs [{place['low']:.3g}, {place['high']:.3g}]")
    for warning in record["warnings"]:
        print(f"  {warning}")
    return record


if __name__ == "__main__":
    main(*sys.argv[1:2])
