"""Listing, asking, pruning: what the run store answers from one index and the folders."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import StudyCommand

from lilliput.cli._frame import build_app
from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import ConfigurationError, InputError, MissingExtraError
from lilliput.core.verification import verify
from lilliput.study import (
    diff_runs,
    find_run,
    index_records,
    plan_study,
    prune_runs,
    query_runs,
    read_runs,
    run_index,
    select_runs,
)
from lilliput.study.recipe.loading import load_recipe
from lilliput.study.store.index import INDEX

MANY = 1500
_opened: list[str] | None = None


def _hear(event: str, arguments: Sequence[Any]) -> None:
    if event == "open" and _opened is not None:
        _opened.append(str(arguments[0]))


sys.addaudithook(_hear)


@contextmanager
def opened_files() -> Generator[list[str]]:
    """The paths that this process opens in the block."""
    global _opened  # noqa: PLW0603 -- an audit hook cannot be taken away again.
    _opened = paths = []
    yield paths
    _opened = None


def settle(study: Path) -> None:
    """Make folders look as if they had lain for an hour, as they have when somebody lists them."""
    hour_ago = time.time() - 3600
    for folder in (study / "runs").iterdir():
        if folder.is_dir():
            os.utime(folder, (hour_ago, hour_ago))


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, at another path."""
    return Path(shutil.copytree(finished_study, tmp_path / "moved"))


@pytest.fixture(scope="module")
def many(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with many runs, each like a finished one but for its id and its loss."""
    out = tmp_path_factory.mktemp("many")
    model = read_runs(finished_study)[0]
    record, result = (
        json.loads((model.folder / name).read_text()) for name in ("run.json", "result.json")
    )
    for number in range(MANY):
        folder = out / "runs" / f"{number:016x}"
        info = record["info"] | {"name": f"run {number:05d}"}
        with building(folder, "run", 1, {"number": number}) as build:
            build.path("run.json").write_text(json.dumps(record | {"info": info}))
            build.path("result.json").write_text(json.dumps(result | {"loss": float(number)}))
    settle(out)
    return out


def test_the_index_says_what_the_folders_say(study: Path) -> None:
    listed = {record["run_id"]: record for record in index_records(run_index(study))}
    for run in read_runs(study):
        assert run.as_record().items() <= listed[run.run_id].items()


def test_a_second_listing_opens_the_index_alone(many: Path) -> None:
    assert run_index(many).num_rows == MANY
    with opened_files() as opened:
        table = run_index(many)
    assert table["loss"].to_pylist() == [float(number) for number in range(MANY)]
    in_study = [path for path in opened if str(many) in path and "run" in Path(path).name]
    assert in_study == []


def test_the_index_is_made_anew_when_it_is_lost_or_damaged(study: Path) -> None:
    whole = run_index(study)
    (study / "runs" / INDEX).unlink()
    assert run_index(study).equals(whole)
    (study / "runs" / INDEX).write_bytes(b"PAR1 half a file")
    assert run_index(study).equals(whole)


def test_a_changed_run_is_seen_at_once(study: Path) -> None:
    settle(study)
    folder = read_runs(study)[0].folder
    run_index(study)
    (folder / "manifest.json").unlink()
    assert sorted(run_index(study)["state"].to_pylist()) == ["done", "done", "done", "started"]
    (folder / "failure.json").write_text('{"code": "disk", "rule": "r", "got": "", "try": ""}')
    failed = select_runs(run_index(study), ["state=failed"])
    assert index_records(failed)[0]["error"]["code"] == "disk"
    shutil.rmtree(folder)
    assert run_index(study).num_rows == 3


def test_a_run_that_fails_and_then_ends_within_one_tick_is_read_again(study: Path) -> None:
    folder = read_runs(study)[0].folder
    (folder / "manifest.json").rename(folder / "aside")
    run_index(study)
    stamp = folder.stat().st_mtime_ns
    (folder / "aside").rename(folder / "manifest.json")
    os.utime(folder, ns=(stamp, stamp))  # A clock too coarse to show the second change.
    assert run_index(study)["state"].to_pylist() == ["done"] * 4


def test_an_index_from_the_future_is_not_believed(study: Path, monkeypatch: Any) -> None:
    settle(study)
    later = time.time_ns() + 10**15
    with monkeypatch.context() as patch:
        patch.setattr("lilliput.study.store.index.time.time_ns", lambda: later)
        run_index(study)
    with opened_files() as opened:
        run_index(study)
    assert sum(path.endswith("run.json") for path in opened) == 4


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["loss<3"], 3),
        (["loss>=10", "loss<=11"], 2),
        (["state=done", "name=run 00007"], 1),
        (["name~0149"], 11),
        (["learning_rate>1"], 0),
        (["model.hidden_size=16"], MANY),
        (["seed!=0"], 0),
        (["switches.score_padding=false"], MANY),
    ],
)
def test_filters(many: Path, conditions: list[str], expected: int) -> None:
    assert select_runs(run_index(many), conditions).num_rows == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("loss", "KEY OP VALUE.*'loss'"),
        ("lost<3", "one column.*'lost'.*loss"),
        ("loss<small", "of its column's type.*loss<small"),
        ("loss_reference_imputed=maybe", "of its column's type"),
    ],
)
def test_a_wrong_filter_is_answered_in_one_sentence(
    many: Path, condition: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        select_runs(run_index(many), [condition])


def test_a_run_is_found_by_id_or_name_and_opened_alone(many: Path) -> None:
    run_index(many)
    with opened_files() as opened:
        assert find_run(many, "run 00042").result["loss"] == 42.0
    assert {Path(p).parent.name for p in opened if p.endswith(".json")} == {f"{42:016x}"}
    with pytest.raises(InputError, match="matches 256 runs"):
        find_run(many, f"{1:014x}")


def test_two_runs_differ_in_what_was_set_and_in_what_came_out(study: Path) -> None:
    small, other_seed, large, _ = read_runs(study)
    found = diff_runs(small, other_seed)
    assert found["config.seed"] == (0, 1)
    assert found["info.name"] == (small.name, other_seed.name)
    assert found["result.loss"] == (small.result["loss"], other_seed.result["loss"])
    # What they share is left out, and the rest is in order.
    assert not [key for key in found if key.startswith(("config.model", "config.training"))]
    assert list(found) == sorted(found)
    shapes = diff_runs(small, large)
    assert {key for key in shapes if key.startswith("config.model")} >= {"config.model.hidden_size"}
    assert diff_runs(large, small) == {key: pair[::-1] for key, pair in shapes.items()}
    assert diff_runs(small, small) == {}


def test_a_run_without_a_result_differs_in_all_of_it(study: Path) -> None:
    one, other = read_runs(study)[:2]
    (other.folder / "manifest.json").unlink()
    found = diff_runs(one, find_run(study, other.run_id))
    assert found["result.loss"] == (one.result["loss"], None)
    assert {f"result.{key}" for key in one.result} <= found.keys()


def test_diff_prints_pairs_for_people_and_as_json(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = read_runs(study)[:2]
    record = call(capsys, "diff", str(study), one.run_id, other.name)
    assert record["runs"] == [one.run_id, other.run_id]
    differences = {key: list(pair) for key, pair in diff_runs(one, other).items()}
    assert record["differences"] == json.loads(json.dumps(differences))
    assert record["differences"]["config.seed"] == [0, 1]
    build_app()(["runs", "diff", str(study), one.run_id, other.run_id], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("config.seed ")] == [
        ["config.seed", "0", "|", "1"]
    ]
    assert call(capsys, "diff", str(study), one.run_id, one.run_id)["differences"] == {}
    with pytest.raises(InputError, match="matches 0 runs"):
        call(capsys, "diff", str(study), one.run_id, "nobody")


def test_sql_answers_from_runs_and_curves(study: Path) -> None:
    pytest.importorskip("duckdb")
    rows = query_runs(
        study, "select shape, count(*) as n, min(loss) as best from runs group by shape order by 1"
    )
    assert [(row["shape"], row["n"]) for row in rows] == [("8/16/32/2/1", 2), ("8/8/16/1/1", 2)]
    last = query_runs(
        study,
        "select run_id, arg_max(m.loss, step) as last, any_value(r.loss) as told "
        "from metrics m join runs r using (run_id) group by run_id",
    )
    assert len(last) == 4
    assert all(row["last"] == row["told"] for row in last)
    with pytest.raises(InputError, match="must be SQL.*nowhere"):
        query_runs(study, "select * from nowhere")
    with pytest.raises(InputError):
        query_runs(study, f"copy runs to '{study / 'stolen.csv'}'")
    assert not (study / "stolen.csv").exists()


def test_sql_without_duckdb_says_what_to_install(study: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lilliput\[sql\]'"):
        query_runs(study, "select 1")


def test_pruning_leaves_runs_done_and_verifiable(study: Path, recipe_file: Path) -> None:
    ids = {run.run_id: read_manifest(run.folder).id for run in read_runs(study)}
    rehearsed = prune_runs(study, keep=["final"], is_rehearsal=True)
    assert verify(study).mismatches == ()
    pruned = prune_runs(study, keep=["final"])
    assert pruned == rehearsed
    assert pruned.freed_bytes > 0
    assert {one.name for one in pruned.deleted} == {"initial"}
    assert verify(study).mismatches == ()
    assert {run.run_id: read_manifest(run.folder).id for run in read_runs(study)} == ids
    assert not list(study.glob("runs/*/checkpoints/initial"))
    assert prune_runs(study, keep=["final"]).deleted == ()
    _, record = StudyCommand(recipe_file, study).finish()
    assert record["skipped"] == 4


def test_a_quota_takes_the_least_useful_first(study: Path) -> None:
    whole = prune_runs(study, is_rehearsal=True).left_bytes
    found = prune_runs(study, quota_bytes=whole - 1)
    assert [one.name for one in found.deleted] == ["initial"]
    assert found.left_bytes <= whole - 1
    found = prune_runs(study, quota_bytes=found.left_bytes // 2)
    assert {one.name for one in found.deleted} == {"initial", "final"}
    assert prune_runs(study, quota_bytes=0, where=["shape=8/8/16/1/1"]).left_bytes == 0
    assert verify(study).mismatches == ()


def test_a_quota_in_the_recipe_is_kept_and_is_no_other_study(
    study: Path, recipe_file: Path
) -> None:
    command = StudyCommand(recipe_file, study)
    code, record = command.finish("--set", "checkpoint_quota_gb=0")
    assert (code, record["skipped"]) == (0, 4)
    assert not list(study.glob("runs/*/checkpoints/*"))
    assert command.finish()[1]["skipped"] == 4


def test_unfinished_runs_are_not_pruned(study: Path) -> None:
    run = read_runs(study)[0]
    (run.folder / "manifest.json").unlink()
    prune_runs(study, keep=[])
    assert (run.folder / "checkpoints" / "final").is_dir()


def test_a_kind_that_is_none_is_refused(study: Path) -> None:
    with pytest.raises(ConfigurationError, match="got best. Use any of: resume, state, step"):
        prune_runs(study, keep=["best"])


def test_the_plan_reads_the_index(study: Path, recipe_file: Path) -> None:
    settle(study)
    recipe = load_recipe(str(recipe_file))
    assert plan_study(recipe, study).done == 4
    with opened_files() as opened:
        plan_study(recipe, study)
    assert not any(path.endswith("run.json") for path in opened)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON that `lilliput runs ARGUMENTS` prints."""
    build_app()(["runs", *arguments, "--json"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_the_verbs_print_their_json(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = call(capsys, "ls", str(study), "--where", "shape=8/8/16/1/1", "--where", "seed=1")
    (run,) = listed["runs"]
    assert run["name"] == "invented corrected 8/8/16/1/1 seed 1"
    assert call(capsys, "show", str(study), run["run_id"])["runs"][0]["metrics"]
    rehearsed = call(capsys, "prune", str(study), "--keep", "none", "--rehearse")
    assert rehearsed["rehearsal"] is True
    assert len(rehearsed["runs"]) == 4
    assert call(capsys, "prune", str(study), "--quota", "1TB")["checkpoints"] == 0
    counted = call(capsys, "sql", str(study), "select count(*) as n from runs")
    assert counted["runs"] == [{"n": 4}]
    with pytest.raises(ConfigurationError, match="'much'. Such as 2GB"):
        call(capsys, "prune", str(study), "--quota", "much")


def test_the_tables_for_people_name_every_run(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_app()(["runs", "ls", str(study)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert all(run.run_id in printed for run in read_runs(study))
    assert "4 runs" in printed
