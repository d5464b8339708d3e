"""Which data, in which order, in how large a language: from the recipe to the runs, whatever the workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.invented import write_texts

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ConfigurationError, EmptyCorpusError
from lilliput.core.verification import verify
from lilliput.language import iter_texts, read_vocabulary
from lilliput.study import Recipe, load_recipe, plan_study, run_study

RECIPE = """
name = "choices"

[vocabulary]
sources = ["{folder}/text.jsonl"]
coverage = 1.0

[languages.whole]
sources = ["{folder}/text.jsonl"]
[languages.whole.corpus]
validation_share = 0.1
test_share = 0.1
[languages.rare]
pruned = {{ of = "whole", by = "rarity", keep = "high", rate = 0.5 }}
[languages.mix]
pruned = {{ of = "whole", keep = "random-mix", rate = 0.5, like = "rare" }}

[language_sizes]
sizes = [100, 140]
sources = ["{folder}/text.jsonl"]
train_words = {train_words}
[language_sizes.corpus]
span_shape = "windows"
span_words = 6
min_words = 2
stride_words = 6
validation_share = 0.1
test_share = 0.1

[tokenizers]
vocab_sizes = [300]
train_with = "byte-bpe-300"

[model]
layout = "mini-bert"

[training]
max_steps = 4
max_seq_length = 32
global_batch_size = 4
eval_sequences = 8
threads = 1
dtype = "float32"

[variants.up]
training = {{ order = {{ by = "rarity" }} }}

[[grid]]
languages = ["whole"]
shapes = ["8/8/16/1/1"]
variants = ["", "up"]

[[grid]]
languages = ["rare", "mix", "100-words", "140-words", "140-words-unconstrained"]
shapes = ["8/8/16/1/1"]

[analysis]
resamples = 20
"""


def recipe_in(folder: Path, train_words: int = 800) -> Recipe:
    folder.mkdir(exist_ok=True)
    write_texts(folder / "text.jsonl")
    path = folder / "choices.toml"
    path.write_text(RECIPE.format(folder=folder, train_words=train_words))
    return load_recipe(str(path))


def texts(corpus: Path, split: str) -> set[str]:
    return {t for batch in iter_texts(corpus, split, ["text"]) for t in batch.column(0).to_pylist()}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("choices")
    run_study(recipe_in(root / "texts"), root / "study", executor="inline")
    return root / "study"


def test_pruned_languages_keep_their_share_the_held_out_text_and_the_tokenizer(study):
    whole = texts(study / "corpora/whole", "train")
    for name in ("rare", "mix"):
        kept = texts(study / "corpora" / name, "train")
        assert kept < whole
        assert len(kept) == pytest.approx(len(whole) / 2, abs=1)
        for split in ("validation", "test"):
            assert texts(study / "corpora" / name, split) == texts(study / "corpora/whole", split)
        assert not (study / "tokenizers" / name).exists()
    written = {
        read_manifest(study / "tokens" / n).inputs["tokenizer"] for n in ("whole", "rare", "mix")
    }
    assert len(written) == 1


def test_sized_languages_use_their_words_and_have_as_much_text_each(study):
    sizes = {}
    for size in (100, 140):
        words = set(read_vocabulary(study / f"vocabularies/{size}-words").words)
        assert len(words) == size
        used = {
            w.strip(".") for t in texts(study / f"corpora/{size}-words", "train") for w in t.split()
        }
        assert used <= words
        facts = read_manifest(study / f"corpora/{size}-words").facts
        sizes[size] = facts["splits"]["train"]["words"]
        twin = read_manifest(study / f"corpora/{size}-words-unconstrained").facts
        assert twin["splits"]["train"]["words"] == pytest.approx(sizes[size], abs=6)
    assert set(read_vocabulary(study / "vocabularies/100-words").words) < set(
        read_vocabulary(study / "vocabularies/140-words").words
    )
    # The last span may go beyond the limit.
    assert sizes[100] == pytest.approx(800, abs=6)
    assert sizes[140] == pytest.approx(800, abs=6)


def test_a_moved_study_is_recognised_and_trains_on_from_its_scores(study, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(study, moved)
    result = run_study(recipe_in(study.parent / "texts"), moved, executor="inline")
    assert result.skipped == 7
    assert not verify(moved).mismatches
    for record in moved.glob("runs/*/run.json"):
        assert str(tmp_path) not in record.read_text()


def test_processes_build_the_same_study(study, tmp_path):
    run_study(recipe_in(tmp_path / "texts"), tmp_path / "study", executor="process", workers=2)
    for part in ("scores/whole/rarity", "corpora/rare", "corpora/mix", "corpora/100-words"):
        assert (
            read_manifest(tmp_path / "study" / part).content == read_manifest(study / part).content
        )
    names = [
        sorted(p.name for p in (root / "runs").iterdir()) for root in (study, tmp_path / "study")
    ]
    assert names[0] == names[1]


def test_too_little_text_for_the_smallest_language_is_one_sentence(tmp_path):
    with pytest.raises(EmptyCorpusError, match="must have 900,000 words to train on"):
        run_study(recipe_in(tmp_path / "t", 900_000), tmp_path / "study", executor="inline")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('languages.rare.pruned.of = "mix"', "must name a language that is not pruned"),
        ('languages.rare.pruned.keep = "random"', "does not read a score"),
        ("languages.rare.pruned.rate = 1.5", "less than or equal to 1"),
        ('languages.mix.pruned.like = "whole"', "must name a language pruned from whole"),
        ('languages.rare.sources = ["x"]', "either sources or pruned"),
        ('languages.rare.pruned.by = "rarityy"', "Did you mean 'rarity'"),
        ('scores.mine.name = "length"', "'mine', which nothing reads"),
    ],
)
def test_wrong_languages_are_refused_before_anything_is_built(tmp_path, change, message):
    recipe_in(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        plan_study(
            load_recipe(str(tmp_path / "choices.toml"), [change.replace(" = ", "=")]),
            tmp_path / "out",
        )
