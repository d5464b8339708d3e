"""Lilliput is a wind tunnel for language models.

It shrinks the language until a complete scaling study (corpus, tokenizer, many small models, probes,
power laws, cost-effectiveness, report) fits on a laptop or one GPU, and makes every number in it
trustworthy. Each room of the package is one stage: `language`, `tokenization`, `architecture`,
`models`, `training`, `evaluation`, `analysis`, `report`; `study` draws the whole line.
"""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed_version

try:
    __version__ = _installed_version("lilliput")
except PackageNotFoundError:
    # The source tree is on the path of Python, and nothing is installed.
    __version__ = "0+source"
