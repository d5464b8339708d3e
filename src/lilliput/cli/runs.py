"""`lilliput runs` lists, shows, compares and prunes the runs of a study, and answers questions in SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import suggest
from lilliput.cli._options import JsonOption, RunNameArgument, StudyArgument, WhereOption
from lilliput.core.wording import plural

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    runs = add_group(app, "runs", "List, show, compare, query and prune runs.")
    runs.command("ls")(list_runs)
    runs.command("show")(show_run)
    runs.command("diff")(diff)
    runs.command("prune")(prune)
    runs.command("sql")(sql)


def list_runs(
    study: StudyArgument,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs with their state and loss.

    Example: lilliput runs ls lilliput-quickstart --where state=done --where 'loss<5'
    """
    from lilliput.study import index_records, run_index, select_runs

    records = index_records(select_runs(run_index(study), where or ()))

    def show() -> None:
        for record in records:
            loss = record.get("loss")
            shown = "" if loss is None else f"{loss:.4f}"
            echo(f"{record['run_id']}  {record['state']:<8} {shown:>8}  {record['name']}")
        echo(plural(len(records), "run"))
        if records:
            suggest("runs", "show", study, records[0]["run_id"])

    deliver({"runs": records}, as_json, show)


def show_run(
    path: Annotated[
        Path, typer.Argument(metavar="STUDY_OR_RUN", help="Folder of a study, or of one run.")
    ],
    run: Annotated[
        str | None, typer.Argument(help="Of a study: the run's name, or the beginning of its id.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: result, configuration, curve.

    Example: lilliput runs show lilliput-quickstart 3f2a
    """
    from lilliput.study import find_run, read_run, run_folder

    record = read_run(run_folder(path)) if run is None else find_run(path, run)

    def show() -> None:
        for key, value in record.as_record().items():
            echo(f"{key:<30} {_shown(value)}")
        for point in record.metrics():
            echo(f"step {point['step']:>7}  tokens {point['tokens_seen']:>10}  {point['loss']:.4f}")

    whole = record.as_record() | {"config": record.config, "metrics": record.metrics()}
    deliver({"runs": [whole]}, as_json, show)


def diff(
    study: StudyArgument,
    one: RunNameArgument,
    other: RunNameArgument,
    as_json: JsonOption = False,
) -> None:
    """Show where two runs differ, in configuration and in result.

    Example: lilliput runs diff lilliput-quickstart 3f2a 91bc
    """
    from lilliput.study import diff_runs, find_run

    left, right = find_run(study, one), find_run(study, other)
    found = diff_runs(left, right)

    def show() -> None:
        for key, (a, b) in found.items():
            echo(f"{key:<44} {_shown(a)}  |  {_shown(b)}")

    differences = {key: list(pair) for key, pair in found.items()}
    record = {"runs": [left.run_id, right.run_id], "differences": differences}
    deliver(record, as_json, show)


def prune(
    study: StudyArgument,
    keep: Annotated[
        str,
        typer.Option(
            help="Checkpoints that stay: any of initial,final,step,state,resume; or none."
        ),
    ] = "initial,final",
    quota: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Most that may be left, such as 2GB.")
    ] = None,
    where: WhereOption = None,
    rehearse: Annotated[bool, typer.Option(help="Say what would go; delete nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete checkpoints of finished runs; curves, results and identities stay.

    Example: lilliput runs prune lilliput-quickstart --keep final --quota 50MB --rehearse
    """
    from lilliput.study import prune_runs

    kinds = [] if keep == "none" else [kind.strip() for kind in keep.split(",")]
    found = prune_runs(
        study,
        keep=kinds,
        quota_bytes=None if quota is None else _bytes(quota),
        where=where or (),
        is_rehearsal=rehearse,
    )

    def show() -> None:
        verb = "would free" if rehearse else "freed"
        echo(f"{len(found.deleted)} checkpoints, {verb} {found.freed_bytes / 1e6:,.1f} MB")
        echo(f"{found.left_bytes / 1e6:,.1f} MB of checkpoints stay")

    deliver(found.as_record() | {"rehearsal": rehearse}, as_json, show)


def sql(
    study: StudyArgument,
    question: Annotated[str, typer.Argument(help="SQL over the tables runs and metrics.")],
    as_json: JsonOption = False,
) -> None:
    """Answer one question in SQL about runs and their curves (needs the extra sql).

    Example: lilliput runs sql lilliput-quickstart 'select shape, min(loss) from runs group by shape'
    """
    from lilliput.study import query_runs

    rows = query_runs(study, question)
    deliver({"runs": rows}, as_json, lambda: _show_rows(rows))


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        echo("\t".join(rows[0]))
    for row in rows:
        echo("\t".join("" if value is None else _shown(value) for value in row.values()))


def _bytes(text: str) -> int:
    from lilliput.core.errors import ConfigurationError

    parsed = _SIZE.fullmatch(text.strip())
    if parsed is None:
        raise ConfigurationError(
            "a size must be a number with B, kB, MB, GB or TB",
            got=repr(text),
            remedy="Such as 2GB.",
        )
    return round(float(parsed[1]) * _FACTORS[parsed[2]])


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
