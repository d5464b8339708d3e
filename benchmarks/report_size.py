"""Size of the report of a large study, and how long a browser takes to open it.

A synthetic study of 150 runs x 60 evaluations (the study of the tests, enlarged) is written to a
temporary folder, reported, and opened in the system's Chromium: from the call to the first page shown, by
the browser's own clock to the end of loading, and from a click to the Training page with its 150 curves
drawn, for which plotly must start first. Run: python benchmarks/report_size.py [--json]
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lilliput.report import write_report

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.report.conftest import StudyMaker

RUNS, EVALUATIONS, SEEDS, REPEATS = 150, 60, 3, 5
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class LargeStudy(StudyMaker):
    """As in the tests, with the tokens of many evaluations spread over the same range."""

    growth = 13.0 ** (2 / (EVALUATIONS - 1))


def shapes(count):
    widths = [(e, h) for e in (32, 64, 128, 256) for h in (32, 64, 128, 256)]
    grid = [f"{e}/{h}/{4 * h}/{max(1, h // 32)}/{n}" for n in (1, 2, 4) for e, h in widths]
    return grid[:count]


def open_page(path):
    from playwright.sync_api import sync_playwright

    opened, loaded, training = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        for _ in range(REPEATS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            started = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("main > section:visible h2")
            opened.append(time.perf_counter() - started)
            loaded.append(page.evaluate(LOADED) / 1000)
            started = time.perf_counter()
            page.locator("nav a[href='#training']").click()
            page.wait_for_selector("#loss-curves .plot[data-drawn]")
            training.append(time.perf_counter() - started)
            page.close()
        browser.close()
    return opened, loaded, training


def main():
    with tempfile.TemporaryDirectory() as folder:
        maker = LargeStudy(
            Path(folder) / "study",
            seeds=SEEDS,
            shapes=shapes(RUNS // SEEDS // 2),
            evaluations=EVALUATIONS,
        )
        started = time.process_time()
        result = write_report(maker.whole(), Path(folder) / "report.html")
        made = time.process_time() - started
        opened, loaded, training = open_page(result.report)
        record = {
            "runs": RUNS,
            "evaluations": EVALUATIONS,
            "size_mb": result.report.stat().st_size / 1e6,
            "make_cpu_s": made,
            "open_s": statistics.median(opened),
            "open_slowest_s": max(opened),
            "loaded_s": statistics.median(loaded),
            "training_page_s": statistics.median(training),
        }
    if "--json" in sys.argv:
        print(json.dumps(record))
    else:
        for name, value in record.items():
            print(f"{name:18} {value:.3g}")


if __name__ == "__main__":
    main()
