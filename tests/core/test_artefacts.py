from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.killing import kill_at_every_change

from lilliput.core.artefacts import (
    artefact_id,
    building,
    is_artefact,
    read_manifest,
    rewrite_manifest,
)
from lilliput.core.errors import ArtefactError, InputError, OccupiedFolderError
from lilliput.core.files import write_text
from lilliput.core.verification import verify

SETTINGS = {"span_words": 110, "profile": "paper"}


def build(folder: Path, text: str = "hello", settings: dict[str, object] = SETTINGS) -> None:
    with building(folder, "corpus", 1, settings, {"vocabulary": "abc"}) as work:
        work.path("shards/00000.txt").write_text(text)
        work.facts["words"] = 1


def test_id_follows_from_settings_and_inputs_alone(tmp_path: Path) -> None:
    build(tmp_path / "here")
    build(tmp_path / "far" / "away", text="other")
    here, away = read_manifest(tmp_path / "here"), read_manifest(tmp_path / "far" / "away")
    assert here.id == away.id == artefact_id("corpus", 1, SETTINGS, {"vocabulary": "abc"})
    assert here.content != away.content


def test_every_part_of_the_identity_changes_the_id() -> None:
    base = artefact_id("corpus", 1, SETTINGS, {"vocabulary": "abc"})
    others = [
        artefact_id("tokens", 1, SETTINGS, {"vocabulary": "abc"}),
        artefact_id("corpus", 2, SETTINGS, {"vocabulary": "abc"}),
        artefact_id("corpus", 1, SETTINGS | {"profile": "cpp"}, {"vocabulary": "abc"}),
        artefact_id("corpus", 1, SETTINGS, {"vocabulary": "abd"}),
    ]
    assert len({base, *others}) == 5


def test_a_failed_build_leaves_its_files_and_no_manifest_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), building(tmp_path / "a", "corpus", 1, SETTINGS) as work:
        work.path("one.txt").write_text("done before the crash")
        raise RuntimeError
    assert not is_artefact(tmp_path / "a")
    with building(tmp_path / "a", "corpus", 1, SETTINGS) as work:
        assert work.path("one.txt").read_text() == "done before the crash"
    assert set(read_manifest(tmp_path / "a").files) == {"one.txt"}


def test_temporary_files_of_a_killed_process_do_not_enter_the_manifest(tmp_path: Path) -> None:
    with building(tmp_path / "a", "corpus", 1, SETTINGS) as work:
        work.path("shard.txt.partial-1-abcd").write_text("half")
        work.path("shard.txt").write_text("whole")
    assert set(read_manifest(tmp_path / "a").files) == {"shard.txt"}


def build_from_parts(folder: Path) -> None:
    """Two parts, made once each, joined into what the artefact holds."""
    with building(folder / "a", "corpus", 1, SETTINGS) as work:
        for part in ("one", "two"):
            path = work.scratch("parts") / part
            if not path.exists():
                write_text(path, f"{part} ")
        parts = [work.scratch("parts") / part for part in ("one", "two")]
        write_text(work.path("text/whole.txt"), "".join(part.read_text() for part in parts))


def test_killed_before_each_of_its_changes_an_artefact_is_built_all_the_same(
    tmp_path: Path,
) -> None:
    build_from_parts(tmp_path / "whole")
    kills = kill_at_every_change(build_from_parts, tmp_path / "killed")
    # The mark, two parts, a text and the manifest are written and renamed; folders come and go.
    assert kills > 15
    found = {p.relative_to(tmp_path / "killed").as_posix() for p in tmp_path.glob("killed/**/*")}
    assert found == {"a", "a/manifest.json", "a/text", "a/text/whole.txt"}
    assert read_manifest(tmp_path / "killed/a").files == read_manifest(tmp_path / "whole/a").files


def test_a_folder_with_another_artefact_is_left_alone(tmp_path: Path) -> None:
    build(tmp_path / "a")
    with pytest.raises(OccupiedFolderError, match="must be empty or hold this very corpus"):
        build(tmp_path / "a", settings={"span_words": 30})
    assert read_manifest(tmp_path / "a").settings == SETTINGS


def test_a_folder_with_foreign_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OccupiedFolderError, match="files that lilliput did not make"):
        build(tmp_path)


def test_verify_names_the_damaged_and_the_missing_file(tmp_path: Path) -> None:
    with building(tmp_path / "a", "corpus", 1, SETTINGS) as work:
        for name in ("one", "two", "three"):
            work.path(name).write_text(name)
    (tmp_path / "a" / "one").write_text("One")
    (tmp_path / "a" / "two").unlink()
    found = verify(tmp_path)
    assert found.checked == 3
    assert [text.split(":")[0] for text in found.mismatches] == ["a/one", "a/two"]


def test_verify_sees_settings_edited_after_the_fact(tmp_path: Path) -> None:
    build(tmp_path)
    path = tmp_path / "manifest.json"
    record = json.loads(path.read_text())
    record["settings"]["span_words"] = 111
    path.write_text(json.dumps(record))
    assert "does not follow from the settings" in verify(tmp_path).mismatches[0]


def test_a_manifest_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    build(tmp_path)
    rewrite_manifest(tmp_path, {"../../etc/passwd": {"hash": "0", "bytes": 1}}, {})
    found = verify(tmp_path)
    assert len(found.mismatches) == 1
    assert "must stay inside" in found.mismatches[0]


def test_wrong_kind_and_unfinished_builds_are_named(tmp_path: Path) -> None:
    build(tmp_path / "a")
    with pytest.raises(ArtefactError, match="must hold a tokenizer: got a corpus"):
        read_manifest(tmp_path / "a", "tokenizer")
    with pytest.raises(ArtefactError, match="schema 2: got schema 1"):
        read_manifest(tmp_path / "a", "corpus", 2)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "building.json").write_text("{}")
    with pytest.raises(InputError, match="an unfinished build"):
        read_manifest(tmp_path / "b")


def test_files_of_an_artefact_inside_another_belong_to_the_inner_one(tmp_path: Path) -> None:
    with building(tmp_path / "study", "study", 1, {}) as work:
        build(tmp_path / "study" / "corpora" / "constrained")
        work.path("report.html").write_text("page")
    assert set(read_manifest(tmp_path / "study").files) == {"report.html"}
    assert verify(tmp_path).checked == 2
