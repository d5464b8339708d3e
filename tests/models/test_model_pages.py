"""The Python of docs/models.md and docs/flops.md runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["models.md", "flops.md"])
def test_the_python_of_the_page_runs(page: str, tmp_path: Path):
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.M | re.S)
    assert blocks
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], check=True, cwd=tmp_path)


def test_the_message_of_the_page_is_the_one_that_is_raised():
    from lilliput.architecture import ModelConfig
    from lilliput.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as raised:
        ModelConfig.for_layout("roberta", vocab_size=9, hidden_size=130, num_attention_heads=4)
    assert str(raised.value) in (DOCS / "models.md").read_text("utf-8")
