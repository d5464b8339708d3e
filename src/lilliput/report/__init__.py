"""From a study folder, or anyone's table of runs, to one HTML file that answers its questions.

The report reads files only and trains nothing. Every number carries its interval and n or is marked
as single; where data cannot tell, the page says so. Each figure is a tidy table plus how to draw it,
so the page, the CSV inside it and the PDF come from one description.
"""

from lilliput.report.document import (
    NamedFigure,
    ReportResult,
    list_figures,
    write_figure,
    write_report,
    write_side_by_side,
)

__all__ = [
    "NamedFigure",
    "ReportResult",
    "list_figures",
    "write_figure",
    "write_report",
    "write_side_by_side",
]
