"""Read the table that ships with the package: the 42 runs and 1,512 evaluations of the authors.

Source: history of the repository text-machine-lab/mini_bert (January 2023), the raw results behind
arXiv 2305.17266. The losses are diluted by padding, so they stand under `loss_reference`;
`num_attention_heads` is what was recorded, while every factorised model was built with eight.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from lilliput.analysis.table.tidy import Table, read_table
from lilliput.architecture import SIZES, ModelConfig, training_flops
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

# Where a study keeps the measurements of its runs.
MEASUREMENTS = "tables/measurements.csv"
BUILTIN_TABLES: tuple[str, ...] = ("paper",)
_VOCAB_SIZE, _POSITIONS, _SEQ_LENGTH = 19_010, 130, 128


def load_table(source: str | Path, *, columns: dict[str, str] | None = None) -> Table:
    """Return a built-in table by its name, or the checked table in a file.

    Args:
        source: "paper", the path of a CSV or Parquet file, or the folder of a study.
        columns: Schema name to the header that holds it, for a file with other headers.

    Raises:
        InputError: There is no such file or built-in table, or a cell breaks the schema.
    """
    if str(source) in BUILTIN_TABLES and not Path(source).exists():
        if columns:
            raise InputError(
                f"the built-in table {source} has the names of the schema",
                got=", ".join(f"--column {name}={header}" for name, header in columns.items()),
                remedy="Leave --column out; --loss and --flops choose among its columns.",
            )
        return paper_table()
    path = Path(source)
    if path.is_dir():
        path = _table_of_study(path)
    if not path.suffix and not path.exists():
        raise InputError(
            "the table must be a file or a built-in table",
            got=source,
            remedy=f"Built-in tables: {', '.join(BUILTIN_TABLES)}.",
        )
    return read_table(path, columns=columns, as_kept=True)


def _table_of_study(folder: Path) -> Path:
    path = folder / MEASUREMENTS
    if path.is_file():
        return path
    raise InputError(
        "a folder must be that of a study with runs",
        got=f"{folder} without {MEASUREMENTS}",
        remedy=f"Run the study first, or give a table: {', '.join(BUILTIN_TABLES)}, a CSV or a Parquet file.",
    )


def paper_table() -> Table:
    """Return the authors' 1,512 evaluations, with the facts of their runs in the same rows.

    Final rows hold the test results too. `sequence_flops_reference` is the cost that the cost-effectiveness
    of the shapes uses. The FLOPs under other conventions than the authors' are computed from the shapes,
    with padding counted as tokens, since the amount of padding is not known.
    """
    evaluations, runs = _packaged("paper_evaluations.csv"), _packaged("paper_runs.csv")
    position = {name: row for row, name in enumerate(runs.text("run").tolist())}
    of_run = np.array([position[name] for name in evaluations.text("run").tolist()])
    facts = {name: runs.columns[name][of_run] for name in runs.columns if name != "run"}
    sizes = np.stack([facts[name] for name in SIZES], axis=1).astype(int)
    step = evaluations.number("step")
    last = np.zeros(len(runs))
    np.maximum.at(last, of_run, step)
    is_final = step == last[of_run]
    for name in runs.starting_with("test_"):
        facts[name] = np.where(is_final, facts[name], np.nan)
    derived = {
        "shape": np.array(["/".join(map(str, row)) for row in sizes.tolist()]),
        "is_final": is_final,
        "perplexity_reference": np.exp(evaluations.number("loss_reference")),
    }
    sequences = evaluations.number("positions_seen") / _SEQ_LENGTH
    flops = {name: cost[of_run] * sequences for name, cost in _flops_per_sequence(runs).items()}
    table = evaluations.with_columns({**facts, **derived, **flops})
    return Table("the built-in table paper", table.columns, table.lines)


def _flops_per_sequence(runs: Table) -> dict[str, FloatArray]:
    """Return the training FLOPs for one sequence of each run, under each convention that has no column yet."""
    sizes = {name: runs.number(name).astype(int).tolist() for name in SIZES}
    costs: dict[str, list[float]] = {}
    for row, layout in enumerate(runs.text("layout").tolist()):
        config = ModelConfig.for_layout(
            layout,
            vocab_size=_VOCAB_SIZE,
            max_position_embeddings=_POSITIONS,
            always_eight_heads=layout == "mini-bert",
            **{name: values[row] for name, values in sizes.items()},
        )
        for name, cost in training_flops(config, seq_length=_SEQ_LENGTH, sequences=1).items():
            costs.setdefault(name, []).append(cost)
    del costs["flops_reference"]
    return {name: np.array(values) for name, values in costs.items()}


def _packaged(name: str) -> Table:
    with as_file(files("lilliput.analysis") / "data" / name) as path:
        return read_table(path)
