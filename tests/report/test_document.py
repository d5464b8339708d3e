"""The whole file: pages, numbers with their intervals, gaps in words, and data that cannot act."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import ENTROPY, PAGES, SHAPES, TASKS, StudyMaker

from lilliput.core.errors import InputError
from lilliput.report import write_report
from lilliput.report.document import render, to_safe_json
from lilliput.report.page import BuiltPage
from lilliput.report.reading.evidence import read_evidence


@pytest.fixture(scope="module")
def html(study: Path, pages: list[BuiltPage]) -> str:
    return render(read_evidence(study), pages)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four runs, too few points for a law."""
    folder = tmp_path_factory.mktemp("small") / "study"
    return StudyMaker(folder, shapes=SHAPES[:2], seeds=1).whole()


class _Outline(HTMLParser):
    """Elements of a page: their tags with attributes, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("script", "style"):
            self.text.append(data)


def outline(html: str) -> _Outline:
    parser = _Outline()
    parser.feed(html)
    return parser


def words(html: str) -> str:
    return " ".join(" ".join(outline(html).text).split())


def test_every_page_of_a_study_is_there(html: str):
    pages = [a["data-page"] for tag, a in outline(html).elements if "data-page" in a]
    assert pages == PAGES


def test_a_plain_table_has_fewer_pages(small: Path, tmp_path: Path):
    table = small / "tables" / "measurements.csv"
    text = write_report(table, tmp_path / "r.html").report.read_text(encoding="utf-8")
    pages = [a["data-page"] for tag, a in outline(text).elements if "data-page" in a]
    of_studies = {"language", "tokenizers", "downstream"}
    assert pages == [name for name in PAGES if name not in of_studies]
    assert "Made from the table measurements.csv alone" in words(text)


def test_nothing_outside_the_file_is_referred_to(html: str):
    for tag, attributes in outline(html).elements:
        for name in ("src", "href", "action"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:,")), (tag, target)


def test_only_the_scripts_of_the_policy_can_run(html: str):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    allowed = set(re.findall(r"sha256-([^'&]+)", policy[1]))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    # Plotly's text becomes a script when the first figure is drawn.
    later = re.findall(
        r'<script type="text/plain" id="plotly-source">(.*?)</script>', html, re.DOTALL
    )
    assert (len(scripts), len(later)) == (2, 1)
    found = {
        base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts + later
    }
    assert found == allowed
    assert "unsafe-eval" not in policy[1]


def test_figures_have_words_data_and_a_name(html: str, data_of: Any):
    data = data_of(html)
    ids = {attributes.get("id") for _, attributes in outline(html).elements}
    for figure in data["figures"]:
        assert {figure["id"], f"{figure['id']}-title", f"{figure['id']}-text"} <= ids
        assert len(figure["text"]) > 40
        for layer in figure["layers"]:
            assert layer["table"] in data["tables"], figure["id"]


def test_columns_of_embedded_tables_have_equal_length(html: str, data_of: Any):
    for name, table in data_of(html)["tables"].items():
        assert len({len(cells) for cells in table.values()}) <= 1, name


def test_the_embedded_curves_are_the_measurements(study: Path, html: str, data_of: Any):
    curves = data_of(html)["tables"]["curves"]
    with (study / "tables" / "measurements.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(curves["run"]) == len(rows)
    expected = {(row["run"], int(row["step"])): float(row["loss"]) for row in rows}
    for run, step, loss in zip(curves["run"], curves["step"], curves["loss"], strict=True):
        # Seven digits are embedded.
        assert loss == pytest.approx(expected[run, step], rel=1e-6)


def test_the_summary_counts_what_is_there(html: str):
    text = words(html)
    runs = len(SHAPES) * 2 * 2
    assert f"{runs} language models of {len(SHAPES)} shapes" in text
    assert "in 2 languages (constrained and unconstrained)" in text


def test_learning_is_counted_against_the_unigram_entropy(study: Path, html: str):
    with (study / "tables" / "measurements.csv").open(encoding="utf-8") as file:
        finals = [row for row in csv.DictReader(file) if row["is_final"] == "True"]
    learned = sum(float(row["loss"]) <= ENTROPY - 0.3 for row in finals)
    assert f"{learned} of {len(finals)} runs" in words(html)


def test_a_task_without_effect_says_so(html: str):
    # "source" has gains of 0 and 0.01 with half widths of 0.03: no interval leaves zero.
    assert "source: no gain from pre-training beyond its interval in any of 10 models" in words(
        html
    )
    # "word_order" gains 0.03 a shape; from the third shape on the lower bound is above zero.
    assert "word order: pre-training helps beyond its interval in 7 of 10 models" in words(html)


def test_the_command_is_shown(html: str):
    assert "make it" in words(html)


@pytest.mark.parametrize(
    "left_out", ["vocabulary", "corpora", "tokenizers", "tables", "evaluations", "study.json"]
)
def test_what_is_missing_is_said_in_words(small: Path, tmp_path: Path, left_out: str):
    copy = tmp_path / "study"
    shutil.copytree(small, copy)
    gone = copy / left_out
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    text = words(write_report(copy, tmp_path / "r.html").report.read_text(encoding="utf-8"))
    sentence = {
        "vocabulary": "No vocabulary lies in this study",
        "corpora": "No corpus lies in this study",
        "tokenizers": "There is no comparison of tokenizers",
        "tables": "No run has finished yet",
        "evaluations": "There are no downstream scores in this study",
        "study.json": "The folder holds no study.json",
    }[left_out]
    assert sentence in text


def test_a_folder_without_a_study_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        write_report(tmp_path, tmp_path / "r.html")


def test_an_unknown_source_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="nowhere, which is not there"):
        write_report(tmp_path / "nowhere", tmp_path / "r.html")


def test_hostile_text_and_names_stay_text(
    make_study: Callable[..., StudyMaker], hostile: str, html: str, tmp_path: Path, data_of: Any
):
    maker = make_study(shapes=["32/32/64/1/1", "64/64/256/2/2"], seeds=1)
    maker.text = maker.family = hostile
    text = write_report(maker.whole(), tmp_path / "r.html").report.read_text(encoding="utf-8")
    bad = {"img", "b"} & {tag for tag, _ in outline(text).elements}
    assert not bad
    handlers = [n for _, a in outline(text).elements for n in a if n.startswith("on")]
    assert not handlers
    assert text.count("</script>") == html.count("</script>")
    assert hostile in data_of(text)["tables"]["runs"]["family"]
    assert hostile in "".join(outline(text).text)


def test_json_survives_its_escaping(hostile: str):
    value = {hostile: [hostile, 1.5, None, "\u2029"]}
    text = to_safe_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_the_same_study_gives_the_same_file(small: Path, tmp_path: Path):
    names = ("one.html", "two.html")
    results = [write_report(small, tmp_path / name, command="make it") for name in names]
    assert results[0].figures == results[1].figures
    assert results[0].report.read_bytes() == results[1].report.read_bytes()


def test_all_tasks_can_be_chosen(html: str, data_of: Any):
    controls = {c["name"]: c for c in data_of(html)["controls"]["downstream"]}
    assert [option["value"] for option in controls["task"]["options"]] == list(TASKS)


def test_the_papers_exponent_is_said_in_plain_words(tmp_path: Path):
    html = write_report(Path("paper"), tmp_path / "paper.html").report.read_text(encoding="utf-8")
    said = words(html)
    value = re.search(r"is α = (0\.\d+) \(95 % interval", said)
    lowered = re.search(r"twice the compute lowers the loss by ([\d.]+) %", said)
    assert value
    assert lowered
    assert float(lowered[1]) == pytest.approx(100 * (1 - 2 ** -float(value[1])), abs=0.1)
    assert "Α =" not in said  # A Greek letter is not capitalised into a Latin look-alike.
