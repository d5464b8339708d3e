"""A finished tiny study with every kind of artefact in it, and the commands that read one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.damage import call, link_tree
from tests.invented import write_recipe

TRAINING = """max_steps = 20
eval_points_per_decade = 3

[probes]
max_train_examples = 16
max_dev_examples = 16

[probes.fine_tuning]
learning_rates = [2e-3]
num_train_epochs = [1]
seeds = [0]
"""


@dataclass(frozen=True)
class Tiny:
    """A finished study, the recipe that made it, and small inputs for other commands."""

    folder: Path
    recipe: Path

    def copy(self, target: Path) -> Path:
        """The study at another place; damage it with `spoil` alone, since its files are links."""
        link_tree(self.folder, target)
        return target

    def run_id(self, number: int = 0) -> str:
        """One of its runs."""
        return sorted(path.parent.name for path in self.folder.glob("runs/*/run.json"))[number]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The study, undisturbed. A folder in LILLIPUT_TINY keeps it from one call of pytest to the next."""
    kept = os.environ.get("LILLIPUT_TINY")
    home = Path(kept) if kept else tmp_path_factory.mktemp("tiny")
    found = Tiny(home / "study", home / "tiny.toml")
    if not (found.folder / "manifest.json").is_file():
        home.mkdir(parents=True, exist_ok=True)
        write_recipe(home, "tiny", TRAINING)
        (home / "pairs.jsonl").write_text(
            "".join(
                json.dumps({"sentence_good": f"to see {word}", "sentence_bad": f"{word} see to"})
                + "\n"
                for word in ("tea", "rose", "salt", "note")
            )
        )
        done = call("study", "run", str(found.recipe), "--out", str(found.folder), *INLINE)
        assert done.code == 0, done.stderr + done.trace
    return found


INLINE = ("--executor", "inline")


def verbs(tiny: Tiny, study: Path, out: Path) -> dict[str, list[str]]:
    """Every command that reads a study, with `out` as the folder for what it writes."""
    home, run, other = tiny.recipe.parent, tiny.run_id(0), tiny.run_id(1)
    recipe, run_folder = str(tiny.recipe), str(study / "runs" / run)
    tokenizer = str(study / "tokenizers" / "invented" / "byte-bpe-300")
    corpus = str(study / "corpora" / "invented")
    train = out / "train.toml"
    out.mkdir(parents=True, exist_ok=True)
    train.write_text(
        f'tokens = "{study}/tokens/invented"\nout = "{out}/run"\n[model]\nlayout = "mini-bert"\n'
        "embedding_size = 8\nhidden_size = 8\nintermediate_size = 16\nnum_hidden_layers = 1\n"
        "num_attention_heads = 1\n[training]\nmax_steps = 2\nmax_seq_length = 32\n"
        "global_batch_size = 2\neval_sequences = 2\nthreads = 1\n"
    )
    table = str(study / "tables" / "measurements.csv")
    return {
        "verify": ["verify", str(study)],
        "study status": ["study", "status", recipe, "--out", str(study)],
        "study plan": ["study", "plan", recipe, "--out", str(study)],
        "study run": ["study", "run", recipe, "--out", str(study), *INLINE],
        "report": ["report", str(study), "--out", str(out / "report.html")],
        "runs ls": ["runs", "ls", str(study)],
        "runs show": ["runs", "show", str(study), run],
        "runs diff": ["runs", "diff", str(study), run, other],
        "runs sql": ["runs", "sql", str(study), "select count(*), min(loss) from metrics"],
        "runs prune": ["runs", "prune", str(study), "--keep", "final", "--rehearse"],
        "export run": ["export", run_folder, "--to", str(out / "model")],
        "export corpus": ["export", corpus, "--to", str(out / "data")],
        "evaluate pairs": [
            *("evaluate", "pairs", run_folder, "--data", str(home / "pairs.jsonl")),
            *("--out", str(out / "pairs")),
        ],
        "evaluate probes": [
            *("evaluate", "probes", run_folder, "--data", str(study / "probes" / "invented")),
            *("--out", str(out / "probes"), "--tasks", "coherence"),
            *(
                "--set",
                "learning_rates=[2e-3]",
                "--set",
                "num_train_epochs=[1]",
                "--set",
                "seeds=[0]",
            ),
        ],
        "tokenizer encode": [
            *(
                "tokenizer",
                "encode",
                corpus,
                "--tokenizer",
                tokenizer,
                "--out",
                str(out / "tokens"),
            ),
        ],
        "tokenizer train": [
            *(
                "tokenizer",
                "train",
                corpus,
                "--out",
                str(out / "tokenizers"),
                "--vocab-size",
                "290",
            ),
        ],
        "corpus filter": [
            *("corpus", "filter", str(home / "text.jsonl"), "--columns", "text"),
            *("--vocabulary", str(study / "vocabulary"), "--out", str(out / "kept.jsonl")),
        ],
        "train": ["train", str(train)],
        "analyse fit": ["analyse", "fit", table],
        "analyse frontier": ["analyse", "frontier", table],
        "analyse correlate": ["analyse", "correlate", table],
    }
