"""Define the verb `lilliput report`."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import command_line, suggest
from lilliput.cli._options import JsonOption

_PAGE = Path("report.html")
_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "": 1.0}


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def report(
        sources: Annotated[
            list[Path],
            typer.Argument(
                metavar="STUDY_OR_TABLE...",
                help="A study folder, a CSV or Parquet table of runs, or the built-in table: paper. Of two, the second is compared with the first.",
            ),
        ],
        out: Annotated[
            Path | None,
            typer.Option(help="The file to write; report.html, or with --figure NAME.pdf."),
        ] = None,
        static: Annotated[
            Path | None,
            typer.Option(help="Also write every figure as PDF and SVG into this folder."),
        ] = None,
        figure: Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help="Write this one figure for print instead of the page; --list-figures names them.",
            ),
        ] = None,
        kind: Annotated[
            str | None,
            typer.Option(
                "--format",
                metavar="pdf|svg|png",
                help="Kind of file for --figure; the ending of --out by default, else pdf.",
            ),
        ] = None,
        width: Annotated[
            str, typer.Option(help="Width of the figure on paper, such as 84mm, 17cm or 6.3in.")
        ] = "84mm",
        title: Annotated[
            str,
            typer.Option(help="What the report is called; the study's or table's name by default."),
        ] = "",
        budget: Annotated[
            float | None,
            typer.Option(help="FLOPs to plan for; ten times the costliest run by default."),
        ] = None,
        list_figures: Annotated[
            bool, typer.Option("--list-figures", help="Name the figures of this report, and stop.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Write one self-contained HTML file about a study or a table of runs, or about two of them; or one figure for print.

        Example: lilliput report lilliput-quickstart --out report.html
        """
        from lilliput.core.artefacts import require_parts

        for each in sources:
            if each.is_dir():
                require_parts(each)
        source = sources[0]
        if len(sources) > 1:
            _refuse_for_two(sources, static, figure, budget, list_figures)
            _write_two(sources[0], sources[1], out or _PAGE, title, as_json)
        elif list_figures:
            _list(source, as_json)
        elif figure is not None:
            _write_figure(
                source, figure, _figure_path(figure, out, kind), _millimetres(width), as_json
            )
        else:
            _write_page(source, out or _PAGE, static, title, budget, as_json)


def _write_page(
    source: Path, out: Path, static: Path | None, title: str, budget: float | None, as_json: bool
) -> None:
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.report import write_report

    result = write_report(
        source,
        out,
        command=command_line(
            "report", source, out=out, static=static, title=title, budget=budget and f"{budget:g}"
        ),
        static=static,
        title=title,
        budget=budget,
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        size = result.report.stat().st_size / 1e6
        echo(f"Wrote {result.report} ({len(result.figures)} figures, {size:.1f} MB).")
        if result.static:
            echo(f"Wrote {len(result.static)} files for print to {static}.")
        echo("Open it in a browser; it needs no network.")

    deliver(result.as_record(), as_json, show)


def _refuse_for_two(sources: list[Path], *options: object) -> None:
    """Raise where more than two are given, or an option that is about one."""
    from lilliput.core.errors import InputError

    if len(sources) > 2:
        raise InputError(
            "a report is made of one study or table, or of two", got=f"{len(sources)} paths"
        )
    if any(options):
        raise InputError(
            "--static, --figure, --list-figures and --budget are about one study or table",
            got="two paths",
            remedy="Give one path, or leave the option out.",
        )


def _write_two(a: Path, b: Path, out: Path, title: str, as_json: bool) -> None:
    from lilliput.report import write_side_by_side

    command = command_line("report", a, b, out=out, title=title)
    result = write_side_by_side(a, b, out, command=command, title=title)
    deliver(
        result.as_record(), as_json, lambda: echo(f"Wrote {result.report}. Open it in a browser.")
    )


def _list(source: Path, as_json: bool) -> None:
    from lilliput.report import list_figures

    figures = list_figures(source)

    def show() -> None:
        longest = max((len(figure.name) for figure in figures), default=0)
        for figure in figures:
            echo(f"{figure.name:<{longest}}  {figure.title} ({figure.page})")
        if figures:
            suggest("report", source, figure=figures[0].name, format="pdf", width="84mm")

    deliver({"figures": [asdict(figure) for figure in figures]}, as_json, show)


def _write_figure(source: Path, name: str, out: Path, width_mm: float, as_json: bool) -> None:
    from lilliput.report import write_figure

    written = write_figure(source, name, out, width_mm=width_mm)
    deliver(
        {"figure": str(written), "name": name, "width_mm": width_mm},
        as_json,
        lambda: echo(f"Wrote {written} ({width_mm:g} mm wide)."),
    )


def _figure_path(name: str, out: Path | None, kind: str | None) -> Path:
    """Return the file of a figure; a format that contradicts the ending of --out is refused."""
    if out is None:
        return Path(f"{name}.{kind or 'pdf'}")
    if kind is None or out.suffix == f".{kind}":
        return out
    if not out.suffix:
        return out.with_name(f"{out.name}.{kind}")
    from lilliput.core.errors import InputError

    raise InputError(
        "--format and the ending of --out must agree",
        got=f"{kind} and {out.name}",
        remedy="Leave out one of them.",
    )


def _millimetres(width: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(mm|cm|in|)\s*", width)
    if match is None:
        from lilliput.core.errors import InputError

        raise InputError(
            "--width must be a length in mm, cm or in",
            got=repr(width),
            remedy="Write --width 84mm.",
        )
    return float(match[1]) * _MM[match[2]]
