"""The page in a browser: it opens from disk without a request, and everything in it works."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import EVALUATIONS, PAGES, SHAPES, StudyMaker

from lilliput.core.extras import is_installed
from lilliput.report import write_report
from lilliput.report.document import build_pages, render
from lilliput.report.page import BuiltPage
from lilliput.report.reading.evidence import read_evidence

pytestmark = pytest.mark.browser

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: install the package chromium")
    if not is_installed("playwright"):
        pytest.skip("needs playwright: pip install 'lilliput[browser]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(study: Path, pages: list[BuiltPage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(read_evidence(study), pages), encoding="utf-8")
    return path


class Visit:
    """An open page that remembers what went wrong and what it asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def go(self, name: str) -> None:
        """Open a page of the report by its link and wait until the figures in view are drawn."""
        self.page.locator(f"nav a[href='#{name}']").click()
        self.page.locator(f"#{name}-title").wait_for(state="visible")

    def choose(self, page: str, control: str, value: str) -> None:
        """Choose in a control of a page, which may be folded."""
        select = self.page.locator(f"#{page} select[data-control={control}]")
        folded = self.page.locator(f"#{page} details.choices:not([open]) > summary")
        if not select.is_visible() and folded.count():
            folded.click()
        select.select_option(value)

    def draw(self, figure: str) -> Any:
        """The plot of a figure, scrolled to and drawn."""
        self.page.locator(f"#{figure}").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#{figure} .plot[data-drawn]")
        return self.page.locator(f"#{figure} .plot")

    def traces(self, figure: str) -> list[dict[str, Any]]:
        """Plotly's traces of a drawn figure."""
        return self.page.evaluate(
            """id => document.querySelector(`#${id} .plot`).data.map(trace => ({
                x: [...trace.x], y: [...trace.y], run: trace.customdata?.[0] ?? null, mode: trace.mode,
                width: trace.line?.width ?? null, text: trace.text }))""",
            figure,
        )


@pytest.fixture
def visit(browser: Any, report: Path) -> Generator[Callable[..., Visit]]:
    opened: list[Visit] = []

    def open_page(path: Path = report, **options: Any) -> Visit:
        opened.append(Visit(browser, path, **options))
        return opened[-1]

    yield open_page
    for each in opened:
        each.context.close()


def test_every_page_opens_without_a_request_or_an_error(
    visit: Callable[..., Visit], report: Path, pages: list[BuiltPage]
):
    seen = visit()
    for page in pages:
        seen.go(page.name)
        assert seen.page.locator("main > section:visible").count() == 1
        assert (
            seen.page.locator("nav a[aria-current=page]").get_attribute("href") == f"#{page.name}"
        )
        for figure in page.figures:
            seen.draw(figure.id)
            assert not seen.page.locator(f"#{figure.id} .no-data").is_visible(), figure.id
    assert seen.problems == []
    assert seen.requests == [report.as_uri(), "data:,"] or seen.requests == [report.as_uri()]


def test_the_papers_table_opens_too(visit: Callable[..., Visit], tmp_path: Path):
    # Few draws: laws and their intervals have tests of their own, here the page has to stand.
    evidence = replace(read_evidence(Path("paper")), recipe={"analysis": {"resamples": 5}})
    path = tmp_path / "paper.html"
    path.write_text(render(evidence, build_pages(evidence)), encoding="utf-8")
    seen = visit(path)
    for name in ("summary", "training", "scaling", "cost", "runs", "method"):
        seen.go(name)
    seen.go("training")
    seen.draw("loss-curves")
    assert len([t for t in seen.traces("loss-curves") if t["run"]]) == 42
    assert seen.problems == []


def test_a_legend_entry_filters_every_figure_of_the_page(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-curves")
    seen.draw("loss-by-size")
    runs = len(SHAPES) * 2 * 2
    assert len([t for t in seen.traces("loss-curves") if t["mode"] == "lines"]) == runs
    button = seen.page.locator("#loss-curves .legend-entry", has_text="unconstrained")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert len([t for t in seen.traces("loss-curves") if t["mode"] == "lines"]) == runs / 2
    assert sum(len(t["x"]) for t in seen.traces("loss-by-size")) == runs / 2


def test_the_flops_convention_moves_the_curves_and_the_columns(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("scaling")
    seen.draw("frontier")
    first = max(x for t in seen.traces("frontier") for x in t["x"])
    seen.choose("scaling", "flops", "flops_reference")
    second = max(x for t in seen.traces("frontier") for x in t["x"])
    # In this study the authors' formula counts exactly twice as much.
    assert second == pytest.approx(2 * first, rel=1e-6)
    seen.go("runs")
    shown = seen.page.locator("#run-table thead th:visible", has_text="FLOPs").all_inner_texts()
    assert len(shown) == 1
    assert "the paper's formula" in shown[0]


def test_progress_and_loss_can_be_chosen(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-curves")
    before = {t["run"]: t for t in seen.traces("loss-curves") if t["mode"] == "lines"}
    seen.choose("training", "loss", "loss_reference")
    seen.choose("training", "progress", "step")
    after = {t["run"]: t for t in seen.traces("loss-curves") if t["mode"] == "lines"}
    for run, trace in after.items():
        assert trace["x"] == [10 * (i + 1) for i in range(EVALUATIONS)]
        assert trace["y"] == pytest.approx([0.7 * y for y in before[run]["y"]], rel=1e-5)


def test_the_legend_offers_what_can_be_drawn(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-curves")
    entry = seen.page.locator("#loss-curves .legend-entry", has_text="the paper's 42 runs")
    # The paper's table has its authors' loss along updates and their FLOPs only.
    assert entry.count() == 0
    seen.choose("training", "loss", "loss_reference")
    seen.choose("training", "progress", "step")
    assert entry.count() == 1
    own = len([t for t in seen.traces("loss-curves") if t["mode"] == "lines"])
    entry.click()
    assert len([t for t in seen.traces("loss-curves") if t["mode"] == "lines"]) == own + 42
    assert seen.problems == []


def test_the_table_of_costs_fits_a_wide_window(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("cost")
    # Headers with units wrap; on one line they pushed the ICER out of sight.
    sizes = seen.page.evaluate(
        """() => [...document.querySelectorAll('#cost .scroll table')].filter(t => t.clientWidth > 0)
            .map(t => [t.clientWidth, t.parentElement.clientWidth])"""
    )
    assert sizes
    assert all(table <= holder for table, holder in sizes), sizes


def test_hovering_names_the_run(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-by-size")
    points = seen.page.locator("#loss-by-size .plot path.point")
    box = points.first.bounding_box()
    assert box
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.locator("#loss-by-size .hovertext").first.wait_for(state="attached")
    assert "seed" in str(seen.page.locator("#loss-by-size .hovertext").text_content())


def test_a_point_leads_to_its_row_and_the_row_back_to_its_curve(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-by-size")
    box = seen.page.locator("#loss-by-size .plot path.point").first.bounding_box()
    assert box
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.locator("#runs-title").wait_for(state="visible")
    row = seen.page.locator("tr:target")
    name = row.locator("th .hash").inner_text()
    row.locator("button[data-highlight]").click()
    seen.page.locator("#training-title").wait_for(state="visible")
    seen.draw("loss-curves")
    strong = [t["run"] for t in seen.traces("loss-curves") if t["width"] == 4]
    assert strong == [name]
    assert seen.page.locator("#training .highlighted-name").inner_text() == name


def test_runs_are_sorted_and_filtered(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("runs")
    header = seen.page.locator("#run-table th", has_text="Parameters")
    column = header.evaluate("cell => cell.cellIndex")
    values = """column => [...document.querySelectorAll('#run-table tbody tr:not([hidden])')]
        .map(row => Number(row.cells[column].dataset.value))"""
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    ascending = seen.page.evaluate(values, column)
    assert ascending == sorted(ascending)
    header.locator("button").click()
    assert seen.page.evaluate(values, column) == ascending[::-1]
    seen.page.locator("#runs select[data-facet=seed]").select_option("1")
    seen.page.locator("#runs input[name=words]").fill("128/128/512/4/4")
    assert seen.page.locator("#run-table tbody tr:visible").count() == 2
    assert seen.page.locator("#runs output").inner_text() == "2 of 20 shown"
    seen.page.locator("#runs button[type=reset]").click()
    # Not `wait_for_function`: it evaluates its text in the page, which the page's policy forbids.
    seen.page.locator("#runs output", has_text="20 of 20 shown").wait_for()


def test_the_csv_of_a_figure_is_its_data(visit: Callable[..., Visit], study: Path):
    seen = visit()
    seen.go("training")
    with seen.page.expect_download() as download:
        seen.page.locator("button[data-csv-figure=loss-curves]").click()
    assert download.value.suggested_filename == "loss-curves.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["layer"] == "lines 2"]
    with (study / "tables" / "measurements.csv").open(encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    assert len(rows) == len(expected)
    for row, original in zip(
        sorted(rows, key=lambda r: (r["run"], float(r["step"]))),
        sorted(expected, key=lambda r: (r["run"], float(r["step"]))),
        strict=True,
    ):
        assert row["run"] == original["run"]
        assert row["language"] == original["language"]
        # Seven digits are embedded.
        assert float(row["loss"]) == pytest.approx(float(original["loss"]), rel=1e-6)


def test_the_data_of_a_figure_can_be_read_as_a_table(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("training")
    seen.draw("loss-by-size")
    details = seen.page.locator("#loss-by-size details.reading")
    details.locator("summary").click()
    details.locator("thead th").first.wait_for()
    heads = details.locator("thead th").all_inner_texts()
    assert heads[:2] == ["Series", "Run"]
    rows = details.locator("tbody tr")
    drawn = sum(len(trace["x"]) for trace in seen.traces("loss-by-size"))
    assert rows.count() == drawn > 0
    seen.page.locator("#loss-by-size .legend button").first.click()
    assert 0 < rows.count() < drawn  # What the legend hides is not in the table either.


def test_where_things_are_named_all_of_them_are(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("scaling")
    seen.draw("exponent-by-convention")
    names = seen.page.locator("#exponent-by-convention .ytick text").all_text_contents()
    drawn = {y for trace in seen.traces("exponent-by-convention") for y in trace["y"]}
    assert set(names) == drawn


def test_without_scripts_every_page_can_be_read(browser: Any, report: Path, pages: list[BuiltPage]):
    seen = Visit(browser, report, java_script_enabled=False)
    for page in pages:
        assert seen.page.locator(f"#{page.name}-title").is_visible()
    assert seen.page.locator("details.reading:visible").count() == 0
    seen.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_the_button(visit: Callable[..., Visit], scheme: str):
    seen = visit(color_scheme=scheme)
    luminance = """() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g)
        .slice(0, 3).map(Number).reduce((sum, part) => sum + part) / 3"""
    assert (seen.page.evaluate(luminance) < 128) == (scheme == "dark")
    button = seen.page.locator("#theme")
    button.click()
    assert button.inner_text() == "Theme: light"
    assert seen.page.evaluate(luminance) > 128
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert seen.page.evaluate(luminance) < 128
    seen.page.reload()
    assert button.inner_text() == "Theme: dark"


@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_scrolls_sideways(visit: Callable[..., Visit], width: int):
    seen = visit(viewport={"width": width, "height": 800})
    for name in PAGES:
        seen.go(name)
        for figure in seen.page.locator(f"#{name} figure").all():
            seen.draw(str(figure.get_attribute("id")))
        wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, name


def test_the_keyboard_alone_is_enough(visit: Callable[..., Visit]):
    seen = visit()
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the report"
    seen.page.locator("nav a[href='#training']").focus()
    seen.page.keyboard.press("Enter")
    seen.page.locator("#training-title").wait_for(state="visible")
    assert seen.page.evaluate("document.activeElement.id") == "training-title"
    seen.draw("loss-curves")
    entry = seen.page.locator("#loss-curves .legend-entry").first
    entry.focus()
    seen.page.keyboard.press("Space")
    # The legend is drawn anew, yet the focus stays on the entry.
    assert seen.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"


def test_a_word_of_the_glossary_shows_its_meaning(visit: Callable[..., Visit]):
    seen = visit()
    term = seen.page.locator("#summary a.term").first
    term.focus()
    tip = seen.page.locator("#tip")
    meaning = seen.page.locator(str(term.get_attribute("href"))).text_content()
    assert tip.is_visible()
    assert tip.inner_text() == meaning
    seen.page.keyboard.press("Escape")
    assert not tip.is_visible()
    # Each word is marked once on a page.
    targets = seen.page.locator("#summary a.term").evaluate_all("all => all.map(a => a.hash)")
    assert len(targets) == len(set(targets)) > 5


def test_on_a_phone_the_first_figure_is_in_the_first_screen(visit: Callable[..., Visit]):
    seen = visit(viewport={"width": 390, "height": 844})
    seen.page.wait_for_selector("#overview .plot[data-drawn]")
    box = seen.page.locator("#overview .plot").bounding_box()
    assert box
    assert box["y"] + box["height"] <= 844


def test_the_columns_that_are_left_out_come_on_request(visit: Callable[..., Visit]):
    seen = visit()
    seen.go("runs")
    hidden = seen.page.locator("#run-table th.extra").first
    assert not hidden.is_visible()
    seen.page.locator("#runs button[data-whole]").click()
    assert hidden.is_visible()


def test_no_table_is_clipped_in_a_window_of_1280(visit: Callable[..., Visit]):
    seen = visit(viewport={"width": 1280, "height": 900})
    for name in PAGES:
        seen.go(name)
        clipped = seen.page.evaluate(
            """name => [...document.querySelectorAll(`#${name} .scroll > table`)].filter(t => t.clientWidth > 0)
                .filter(t => t.clientWidth > t.parentElement.clientWidth + 1).map(t => t.id)""",
            name,
        )
        assert clipped == [], name


def test_all_pages_are_printed(visit: Callable[..., Visit], pages: list[BuiltPage]):
    seen = visit(color_scheme="dark")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert seen.page.locator("main > section:visible").count() == len(PAGES)
    drawn = seen.page.locator(".plot[data-drawn]").count()
    assert drawn == sum(len(page.figures) for page in pages)
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert seen.page.locator("main > section:visible").count() == 1


def test_hostile_text_does_nothing(visit: Callable[..., Visit], tmp_path: Path, hostile: str):
    maker = StudyMaker(tmp_path / "study", shapes=SHAPES[:2], seeds=1)
    maker.text = maker.family = hostile
    seen = visit(write_report(maker.whole(), tmp_path / "hostile.html").report)
    for name in PAGES:
        seen.go(name)
        for figure in seen.page.locator(f"#{name} figure").all():
            seen.draw(str(figure.get_attribute("id")))
    assert seen.page.title() == "synthetic · lilliput"
    assert seen.page.locator("main img, main b, .plot a").count() == 0
    seen.go("language")
    assert hostile in seen.page.locator("#language blockquote").first.inner_text()
    assert seen.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Callable[..., Visit], scheme: str):
    path = os.environ.get("LILLIPUT_AXE")
    if not path or not Path(path).is_file():
        pytest.skip("needs axe-core: set LILLIPUT_AXE to axe.min.js")
    seen = visit(color_scheme=scheme)
    # The page's policy refuses further scripts, as it should: axe comes in by the debugger.
    axe = Path(path).read_text(encoding="utf-8")
    found: list[str] = []
    for name in PAGES:
        seen.go(name)
        for figure in seen.page.locator(f"#{name} figure").all():
            seen.draw(str(figure.get_attribute("id")))
        seen.page.evaluate(axe)
        result = json.loads(seen.page.evaluate("axe.run().then(JSON.stringify)"))
        found += [
            f"{name}: {v['id']} ({v['impact']}): {v['nodes'][0]['html'][:200]}"
            for v in result["violations"]
            if v["impact"] in ("serious", "critical", "moderate")
        ]
    assert found == []
