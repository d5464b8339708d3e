"""Understand a table as people keep it: other headers, sizes as text, logarithms, perplexity, marks in numbers.

Everything that is read in another way than it is written is said in a sentence. Example:

    model_size;steps;flops;ppl           num_parameters   step   flops    loss
    125m;2000;17.875;67,5                125000000        2000   7.5e17   4.212
    1.3b;2000;18.892;45,1                1300000000       2000   7.8e18   3.809

`flops` holds logarithms (no training costs 18 FLOPs), the comma is a decimal one (the file is cut by semicolons), and
the loss is the logarithm of the perplexity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.analysis.table.cells import EMPTY, RawTable, as_number
from lilliput.analysis.table.schema import SchemaColumn, describe

# Headers of trackers and of tables that people keep, in lower case and with _ for all other signs; best first.
_LIKELY = {
    "run": ("run", "run_name", "run_id", "exp_name", "name"),
    "step": ("step", "steps", "global_step", "iteration", "iterations", "iter", "trainer_global_step"),
    "loss": (
        "loss", "val_loss", "eval_loss", "valid_loss", "validation_loss", "dev_loss", "test_loss", "final_loss",
        "loss_val", "loss_eval", "loss_validation", "cross_entropy", "nll", "train_loss", "loss_train", "training_loss",
    ),
    "loss_se": ("loss_se", "loss_stderr", "loss_std_err", "loss_std_error", "loss_sem"),
    "perplexity": ("perplexity", "ppl", "val_ppl", "eval_ppl", "val_perplexity", "eval_perplexity", "test_ppl"),
    "bits_per_byte": ("bits_per_byte", "bpb", "val_bpb", "eval_bpb"),
    "num_parameters": (
        "num_parameters", "params", "n_params", "num_params", "parameters", "n_parameters", "total_params",
        "total_parameters", "model_params", "params_active_precise", "model_size", "size",
    ),
    "num_parameters_non_embedding": (
        "non_embedding_params", "params_non_embedding", "non_embedding_parameters", "n_non_embedding",
    ),
    "tokens_seen": (
        "tokens_seen", "tokens", "n_tokens", "num_tokens", "num_token", "train_tokens", "training_tokens",
        "total_tokens", "tokens_trained",
    ),
    "flops": ("flops", "flop", "compute", "total_flops", "train_flops", "training_flops", "training_compute"),
    "seed": ("seed", "random_seed"),
    "learning_rate": ("learning_rate", "lr"),
    "wall_time_s": ("wall_time_s", "runtime", "relative_time_process", "wall_time", "train_time_s"),
}  # fmt: skip
_LETTERS = {"num_parameters": "N", "tokens_seen": "D", "flops": "C", "loss": "L"}
# A header that says it holds logarithms: log10_flops, log(tokens), flops_log10, lgC.
_LOG = r"log_?10|lg|ln|log"
_LOGARITHM = re.compile(rf"(?:(?P<first>{_LOG})_?(?P<of>.+?)|(?P<what>.+?)_(?P<last>{_LOG}))")
# Numbers of this kind are never so small: such values are logarithms to the base of ten, and not natural ones.
_LOG10_RANGE = {"flops": (8.0, 27.0), "tokens_seen": (4.0, 14.5), "num_parameters": (3.0, 13.5)}
_SCALED = re.compile(
    r"(\d+(?:\.\d+)?) ?([kmbgt])(?: ?(?:params?|parameters|tokens))?", re.IGNORECASE
)
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(?:(?P<mark>[,. _'\u00a0\u202f])\d{3})(?:(?P=mark)\d{3})*(?P<rest>[.,]\d+)?"
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_TRANSFORMS: dict[str, tuple[str, Callable[[float], float]]] = {
    "log10": ("10 was raised to its values", lambda value: 10.0**value),
    "ln": ("e was raised to its values", math.exp),
    "log2": ("2 was raised to its values", lambda value: 2.0**value),
}
_PROGRESS = ("flops", "tokens_seen", "positions_seen")


@dataclass(frozen=True)
class Understood:
    """Hold a table in the names and numbers of the schema, and how it came there.

    Attributes:
        raw: The cells; a header that was found to hold a column of the schema is still there under its own name.
        mapping: Column of the schema to the header that was found to hold it, such as {"flops": "log10:C"}.
        said: One sentence for each thing that was read in another way than it is written.
    """

    raw: RawTable
    mapping: Mapping[str, str]
    said: tuple[str, ...]

    def without_originals(self) -> RawTable:
        """Return the cells without the headers whose content now stands under a name of the schema."""
        taken = {header.partition(":")[2] or header for header in self.mapping.values()} - set(
            self.mapping
        )
        return RawTable(
            self.raw.source,
            {n: c for n, c in self.raw.columns.items() if n not in taken},
            self.raw.lines,
        )


def understand(raw: RawTable, given: Mapping[str, str] | None = None) -> Understood:
    """Return a table in the names and numbers of the schema.

    Args:
        raw: Cells as they are written, after the columns that were named by hand have been renamed.
        given: Columns that were named by hand, with their headers; they are not looked for.
    """
    mapping = likely_columns(list(raw.columns), given)
    columns = dict(raw.columns)
    said: list[str] = []
    found: dict[str, str] = {}
    for name, header in mapping.items():
        transform, _, source = (
            header.rpartition(":") if header not in raw.columns else ("", "", header)
        )
        columns[name] = raw.columns[source]
        found[name] = header
        if not transform and name != source:
            said.append(f"Column {source} was read as {name}.")
        if transform:
            columns[name], sentence = _raised(name, source, columns[name], transform)
            said.append(sentence)
    uses_commas = _uses_decimal_commas(columns)
    for name, cells in list(columns.items()):
        column = describe(name)
        if column is None or column.kind not in ("number", "count"):
            continue
        columns[name], sentence = _plain_numbers(name, column, cells, decimal_commas=uses_commas)
        said += sentence
        if name in _LOG10_RANGE and _holds_log10(name, columns[name]):
            columns[name], sentence = _raised(name, name, columns[name], "log10")
            found[name] = f"log10:{mapping.get(name, name)}"
            said.append(sentence)
    said += _loss_of_perplexity(columns)
    kept, sentence = _after_first_step(RawTable(raw.source, columns, raw.lines))
    return Understood(kept, found, (*said, *sentence))


def likely_columns(names: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the columns of the schema that a table lacks, each with the header that probably holds it.

    A header of the schema is never taken for another column. "log10:HEADER" says that the header holds logarithms.
    """
    taken = {name for name in names if describe(name)} | set(given or ())
    plain = {_plain(name): name for name in reversed(names) if not describe(name)}
    logs = {key: match for key in plain if (match := _LOGARITHM.fullmatch(key))}
    is_choice = {"cost", "effect"} <= taken
    found: dict[str, str] = {}
    for column, headers in _LIKELY.items():
        if column in taken or (column == "flops" and any(n.startswith("flops_") for n in taken)):
            continue
        if column == "loss" and any(
            n.startswith("loss") or n.startswith("perplexity") for n in taken
        ):
            continue
        usable = [h for h in headers if not (h == "name" and is_choice)]
        match = next((plain[header] for header in usable if header in plain), None)
        letter = _LETTERS.get(column)
        if match is None and letter in names:
            match = letter
        if match is None:
            match = _logarithm_header(column, headers, logs, plain)
        if match is not None:
            found[column] = match
    return found


def _plain(header: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")


def _logarithm_header(
    column: str, headers: Sequence[str], logs: Mapping[str, re.Match[str]], plain: Mapping[str, str]
) -> str | None:
    """Return "log10:HEADER" or "ln:HEADER" where a header says that it holds the column's logarithms."""
    if column not in _LOG10_RANGE:
        return None
    letter = _LETTERS[column].lower()
    for key, match in logs.items():
        what, log = match["of"] or match["what"], match["first"] or match["last"]
        if what in (*headers, letter):
            return f"{'ln' if log == 'ln' else 'log10'}:{plain[key]}"
    return None


def raised_cells(name: str, header: str, cells: Sequence[str]) -> list[str] | None:
    """Return the cells of a column named by hand as "log10:HEADER", "ln:HEADER" or "log2:HEADER"; else None."""
    transform, colon, source = header.partition(":")
    return (
        _raised(name, source, cells, transform)[0] if colon and transform in _TRANSFORMS else None
    )


def _raised(name: str, source: str, cells: Sequence[str], transform: str) -> tuple[list[str], str]:
    how, function = _TRANSFORMS[transform]
    base = {"log10": "log10", "ln": "the natural logarithm", "log2": "log2"}[transform]
    raised: list[str] = []
    for cell in cells:
        number = as_number(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
        try:
            raised.append(
                cell if number is None or not math.isfinite(number) else repr(function(number))
            )
        except OverflowError:
            raised.append("inf")
    return raised, f"Column {source} holds {base} of {name}: {how}."


def _holds_log10(name: str, cells: Sequence[str]) -> bool:
    """Return whether all numbers of a column are too small to be anything but logarithms to the base of ten."""
    numbers = [n for cell in cells if (n := as_number(cell)) is not None and math.isfinite(n)]
    low, high = _LOG10_RANGE[name]
    return len(numbers) > 1 and all(low < n < high for n in numbers)


def _uses_decimal_commas(columns: Mapping[str, Sequence[str]]) -> bool:
    """Return whether some number of the table has a comma that cannot separate thousands, such as 67,5 or 0,125."""
    for cells in columns.values():
        for cell in cells:
            if _DECIMAL_COMMA.fullmatch(cell):
                before, _, after = cell.partition(",")
                if (
                    len(after) != 3
                    or before.lstrip("+-").startswith("0")
                    or len(before.lstrip("+-")) > 3
                ):
                    return True
    return False


def _plain_numbers(
    name: str, column: SchemaColumn, cells: Sequence[str], *, decimal_commas: bool
) -> tuple[list[str], list[str]]:
    """Return the cells of a column of numbers as Python writes them, and what was changed in a sentence or two.

    A cell that stays unclear ("1,234" as a loss: 1.234 or 1234?) is left as it is and refused by the check.
    """
    is_size = column.kind == "count" or name.startswith("flops")
    changed = {"scaled": "", "grouped": "", "comma": ""}
    result: list[str] = []
    for cell in cells:
        new, how = _plain_number(cell, is_size=is_size, decimal_commas=decimal_commas)
        result.append(new)
        if how and not changed[how]:
            changed[how] = f"{cell} is {new}"
    words = {
        "scaled": "Sizes in words of column {0} were read as numbers: {1}.",
        "grouped": "Marks between thousands of column {0} were left out: {1}.",
        "comma": "Decimal commas of column {0} were read as points: {1}.",
    }
    return result, [words[how].format(name, example) for how, example in changed.items() if example]


def _plain_number(cell: str, *, is_size: bool, decimal_commas: bool) -> tuple[str, str]:
    if cell.lower() in EMPTY or (as_number(cell) is not None and "_" not in cell):
        return cell, ""
    scaled = _SCALED.fullmatch(cell.replace(",", ".") if decimal_commas else cell)
    if is_size and scaled:
        return f"{float(scaled[1]) * _SCALES[scaled[2].lower()]:.0f}", "scaled"
    if decimal_commas and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", "."), "comma"
    grouped = _GROUPED.fullmatch(cell)
    if grouped is None:
        return cell, ""
    mark, rest = grouped["mark"], grouped["rest"] or ""
    is_clear = is_size or bool(rest) or mark not in ",."
    if not is_clear or (rest and rest[0] == mark):
        return cell, ""
    whole = cell.removesuffix(rest).replace(mark, "")
    return whole + rest.replace(",", "."), "grouped"


def number_in_words(text: str) -> float | None:
    """Return the number of "1e9", "125m" or "1.3 B"; None where it is none."""
    scaled = _SCALED.fullmatch(text.strip())
    return float(scaled[1]) * _SCALES[scaled[2].lower()] if scaled else as_number(text)


def _loss_of_perplexity(columns: dict[str, list[str]] | dict[str, Sequence[str]]) -> list[str]:
    """Add the loss where only a perplexity is there, and say so."""
    if "perplexity" not in columns or any(name.startswith("loss") for name in columns):
        return []
    cells: list[str] = []
    for cell in columns["perplexity"]:
        value = as_number(cell)
        cells.append(repr(math.log(value)) if value is not None and value > 1 else "")
    columns["loss"] = cells
    return ["The loss was taken as the natural logarithm of perplexity."]


def _after_first_step(raw: RawTable) -> tuple[RawTable, list[str]]:
    """Return the table without the rows that trackers write before the first step, and a sentence that counts them."""
    known = [raw.columns[name] for name in (*_PROGRESS, "step") if name in raw.columns]
    costs = [raw.columns[n] for n in raw.columns if n in _PROGRESS or n.startswith("flops_")]
    if not costs:
        return raw, []
    before = np.array([
        any(as_number(c[row]) == 0 for c in costs) and all(as_number(c[row]) in (0, None) for c in known)
        for row in range(raw.lines.size)
    ])  # fmt: skip
    if not before.any() or before.all():
        return raw, []
    kept = np.flatnonzero(~before).tolist()
    columns = {name: [cells[row] for row in kept] for name, cells in raw.columns.items()}
    sentence = f"Rows from before the first step that were left out: {int(before.sum())}."
    return RawTable(raw.source, columns, raw.lines[~before]), [sentence]
