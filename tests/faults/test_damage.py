"""Damage with its right answer: refused in words, and the remedy that the words name works."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.faults.conftest import INLINE, Tiny, verbs
from tests.faults.damage import call, spoil

from lilliput.core.artefacts import building, read_manifest, rewrite_manifest
from lilliput.core.verification import verify


@pytest.fixture
def study(tiny: Tiny, tmp_path: Path) -> Path:
    """A finished study to damage."""
    return tiny.copy(tmp_path / "study")


def follow(sentence: str) -> None:
    """Do what the end of an error says: delete the one, then run the other."""
    doomed, command = sentence.split("Delete ", 1)[1].split(", then make it again with: ")
    path = Path(shlex.split(doomed)[0])
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    done = call(*shlex.split(command)[1:], *INLINE)
    assert done.code == 0, done.stderr + done.trace


@pytest.mark.parametrize(
    "lost",
    ["runs", "tokens", "corpora", "tokenizers", "evaluations", "analysis", "manifest.json",
     "corpora/invented/manifest.json", "tokens/invented/manifest.json"],
)  # fmt: skip
def test_verify_misses_what_is_gone(lost: str, study: Path) -> None:
    path = study / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    done = call("verify", str(study))
    assert done.code == 2
    assert lost.split("/", maxsplit=1)[0] in done.stdout


def test_verify_misses_a_run_from_within_the_study(study: Path, tiny: Tiny) -> None:
    shutil.rmtree(study / "runs" / tiny.run_id())
    assert any(tiny.run_id() in text for text in verify(study / "runs").mismatches)


def test_verify_follows_a_link_in_the_place_of_a_run(study: Path, tiny: Tiny) -> None:
    run = study / "runs" / tiny.run_id()
    run.rename(study.parent / "elsewhere")
    run.symlink_to(study.parent / "elsewhere")
    spoil(study.parent / "elsewhere" / "metrics.jsonl", b"")
    assert any("metrics.jsonl" in text for text in verify(study).mismatches)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to look as somebody else")
def test_verify_says_what_it_may_not_read(study: Path) -> None:
    for folder in (study, *study.parents):
        if folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    (study / "runs").chmod(0o700)
    program = (
        "import os, sys; from pathlib import Path; from lilliput.core.verification import verify; "
        "os.setgid(65534); os.setuid(65534); print(verify(Path(sys.argv[1])).mismatches)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(study)], capture_output=True, text=True, check=False
    )
    assert "runs: the folder cannot be read" in done.stdout, done.stderr


def test_a_changed_manifest_is_found_by_its_seal(study: Path) -> None:
    path = study / "tokens" / "invented" / "manifest.json"
    record = json.loads(path.read_text())
    record["facts"]["tokens"] += 1
    spoil(path, json.dumps(record).encode())
    assert any("changed after it was written" in text for text in verify(study).mismatches)
    assert call("runs", "ls", str(study)).code == 0
    assert call("report", str(study), "--out", str(study.parent / "r.html")).code == 2


def test_a_rewritten_manifest_keeps_its_id_and_its_seal(tmp_path: Path) -> None:
    with building(tmp_path / "a", "corpus", 1, {"x": 1}) as work:
        work.path("text").write_text("t")
    before = read_manifest(tmp_path / "a").id
    rewrite_manifest(tmp_path / "a", {}, {"words": 3})
    after = read_manifest(tmp_path / "a")
    assert (after.id, after.facts) == (before, {"words": 3})


def test_a_corpus_without_its_shards_is_not_exported(study: Path, tmp_path: Path) -> None:
    for shard in (study / "corpora/invented/shards").iterdir():
        shard.unlink()
    done = call("export", str(study / "corpora/invented"), "--to", str(tmp_path / "ex"))
    assert done.code == 2
    assert "no file" in done.stderr
    assert not (tmp_path / "ex" / "manifest.json").exists()


def test_a_damaged_tokenizer_is_not_exported(study: Path, tiny: Tiny, tmp_path: Path) -> None:
    path = study / "tokenizers/invented/byte-bpe-300/tokenizer.json"
    spoil(path, path.read_bytes().replace(b'"e"', b'"E"', 1))
    done = call("export", str(study / "runs" / tiny.run_id()), "--to", str(tmp_path / "ex"))
    assert done.code == 2
    assert "tokenizer.json must be as it was written" in done.stderr


def reversed_tokens(path: Path) -> None:
    tokens = np.load(path).copy()
    tokens[:1000] = tokens[:1000][::-1]
    path.unlink()
    np.save(path, tokens)


def test_nothing_is_trained_on_a_damaged_token_store(
    study: Path, tiny: Tiny, tmp_path: Path
) -> None:
    reversed_tokens(study / "tokens/invented/train.tokens.npy")
    done = call(*verbs(tiny, study, tmp_path / "out")["train"])
    assert done.code == 2
    assert "train.tokens.npy must be as it was written" in done.stderr


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("runs/{run}/metrics.jsonl", lambda data: b"\n".join(data.split(b"\n")[:3]) + b"\n"),
        ("runs/{run}/result.json", lambda data: b"{"),
        ("runs/{run}/result.json", lambda data: None),
        ("runs/{run}/manifest.json", lambda data: b"{"),
        ("corpora/invented/shards/00000.parquet", lambda data: data[:-9]),
        ("evaluations/{run}/probes/scores.json", lambda data: b"[]"),
        ("tables/measurements.csv", lambda data: data[:300]),
        ("manifest.json", lambda data: data[:100]),
        ("study.json", lambda data: data.replace(b'"tiny"', b'"wide"', 1)),
        ("groups.json", lambda data: b"[" * 10_000),
    ],
)  # fmt: skip
def test_the_remedy_that_an_error_names_works(
    name: str, damage: Callable[[bytes], bytes | None], study: Path, tiny: Tiny, tmp_path: Path
) -> None:
    path = study / name.format(run=tiny.run_id())
    spoil(path, damage(path.read_bytes()))
    commands = verbs(tiny, study, tmp_path / "out")
    found = next(
        (done for verb in ("report", "study run", "tokenizer encode", "export corpus")
         if (done := call(*commands[verb])).code == 2), None
    )  # fmt: skip
    if found is None:  # What is always made anew from the rest needs no remedy.
        assert name in {"groups.json", "tables/measurements.csv"}
        return
    assert not found.is_traceback
    sentence = found.sentence.replace("RECIPE", shlex.quote(str(tiny.recipe)))
    follow(sentence)
    assert verify(study).mismatches == ()


def test_a_study_goes_on_where_locks_are_missing(
    study: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    done = call("study", "run", str(tiny.recipe), "--out", str(study), *INLINE)
    assert (done.code, done.trace) == (0, "")
    assert "has no locks" in done.stderr


def test_a_read_only_study_is_one_sentence(
    study: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    real = Path.open

    def refuse(path: Path, mode: str = "r", *more: object, **others: object) -> object:
        if path.is_relative_to(study) and mode[0] in "wxa":
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, mode, *more, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", refuse)
    done = call("study", "run", str(tiny.recipe), "--out", str(study), *INLINE)
    assert (done.code, done.trace) == (2, "")
    assert "the file system is read-only" in done.stderr


def test_without_shared_memory_the_inline_executor_is_named(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("lilliput.core.executors.process.ProcessPoolExecutor", refuse)
    done = call("study", "run", str(tiny.recipe), "--out", str(tmp_path / "s"))
    assert (done.code, done.trace) == (2, "")
    assert "/dev/shm" in done.stderr
    assert "--executor inline" in done.stderr


@pytest.mark.parametrize(
    "config",
    ["[]", "3", '{"model_type":["x"]}', '{"model_type":"llama","hidden_act":"silu"}', "[" * 10**5,
     '{"model_type":"llama","hidden_act":"silu","num_attention_heads":0,"hidden_size":8}'],
)  # fmt: skip
def test_odd_configurations_are_refused(
    config: str, study: Path, tiny: Tiny, tmp_path: Path
) -> None:
    call("export", str(study / "runs" / tiny.run_id()), "--to", str(tmp_path / "hf"))
    spoil(tmp_path / "hf" / "config.json", config.encode())
    train = verbs(tiny, study, tmp_path / "out")["train"]
    done = call(*train, "--from", str(tmp_path / "hf"))
    assert (done.code, done.trace) == (2, "")
    assert "config.json" in done.stderr or "model_type" in done.stderr


def test_malformed_safetensors_are_refused(study: Path, tiny: Tiny, tmp_path: Path) -> None:
    call("export", str(study / "runs" / tiny.run_id()), "--to", str(tmp_path / "hf"))
    spoil(tmp_path / "hf" / "model.safetensors", random.Random(0).randbytes(64))
    from lilliput.core.errors import InputError
    from lilliput.models import load_hugging_face

    with pytest.raises(InputError, match="must be whole safetensors"):
        load_hugging_face(tmp_path / "hf")


def test_a_file_url_that_leads_nowhere_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    out = str(tmp_path / "v")
    done = call("vocabulary", "build", "file:///nonexistent/a.jsonl", "--out", out)
    assert (done.code, done.trace) == (2, "")


def test_a_reader_that_went_away_is_no_fault(tiny: Tiny) -> None:
    line = f"{shlex.quote(sys.executable)} -m lilliput runs ls {shlex.quote(str(tiny.folder))} --json | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "key", ["training.max_steps", "training.global_batch_size", "training.threads"]
)
def test_numbers_of_400_digits_are_refused_at_plan_time(
    key: str, tiny: Tiny, tmp_path: Path
) -> None:
    number = "9" * 400
    done = call(
        "study", "plan", str(tiny.recipe), "--out", str(tmp_path), "--set", f"{key}={number}"
    )
    assert (done.code, done.trace) == (2, "")
    assert "must be below 2^63, and this one has about 400 digits" in done.stderr


def test_a_setting_that_nothing_reads_is_unknown(tiny: Tiny, tmp_path: Path) -> None:
    done = call(
        "study", "plan", str(tiny.recipe), "--out", str(tmp_path), "--set", "analysis.probe=zz"
    )
    assert (done.code, done.trace) == (2, "")
    assert "probe" in done.stderr


def test_a_damaged_table_of_a_study_is_not_analysed(study: Path) -> None:
    table = study / "tables" / "measurements.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    spoil(table, b"".join(lines[:-1]))
    done = call("analyse", "fit", str(table))
    assert (done.code, done.trace) == (2, "")
    assert "measurements.csv must be as it was written" in done.stderr
    copied = study.parent / "mine.csv"  # The same rows in a file of one's own are one's own affair.
    copied.write_bytes(table.read_bytes())
    assert "must be as it was written" not in call("analyse", "fit", str(copied)).stderr


def test_an_analysis_of_another_form_is_refused_by_name(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lilliput.analysis.findings import findings

    def lack(kind: object, stored: object) -> None:
        raise KeyError("curved")

    monkeypatch.setattr(findings, "from_stored", lack)
    done = call("report", str(study), "--out", str(study.parent / "r.html"))
    assert (done.code, done.trace) == (2, "")
    assert "an analysis of another form: no 'curved'" in done.stderr


def test_an_analysis_under_another_schema_is_made_anew(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lilliput.analysis.findings import findings

    monkeypatch.setattr(findings, "FINDINGS_SCHEMA", 10**6)
    done = call("report", str(study), "--out", str(study.parent / "r.html"))
    assert (done.code, done.trace) == (0, "")


def test_verify_prints_what_is_still_being_built(study: Path) -> None:
    from lilliput.core.artefacts import BUILDING

    (study / "analysis" / BUILDING).write_text("{}")
    done = call("verify", str(study))
    assert "analysis: it is still being built" in done.stdout
