"""Train tokenizers on the train split of a corpus: one, or many that share their work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lilliput.core.artefacts import artefact_id, building, is_artefact, read_manifest
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.settings import parse_settings
from lilliput.language.corpus.reading import TEXT_FORM_KEY, recorded_text_form
from lilliput.tokenization.counting.words import WordCounts, count_corpus
from lilliput.tokenization.folder import TOKENIZER_FILE, save_tokenizer
from lilliput.tokenization.settings import (
    KINDS,
    KindName,
    TokenizerSettings,
    TrainingTextSettings,
)
from lilliput.tokenization.training.kinds import KIND, TokenizerKind
from lilliput.tokenization.training.learned import BpeVocabulary, cut_bpe, learn_bpe, learn_unigram
from lilliput.tokenization.training.pieces import Pieces, make_pieces

_KIND, _SCHEMA = "tokenizer", 1


class _SharedWork:
    """The work that several trainings on one corpus share: counted words, pieces, the largest vocabularies."""

    def __init__(
        self,
        corpus: Path,
        text: TrainingTextSettings,
        largest: dict[tuple[str, str], int],
        reporter: Reporter,
    ) -> None:
        self._corpus, self._text, self._largest, self._reporter = corpus, text, largest, reporter
        self._words: WordCounts | None = None
        self._pieces: dict[str, Pieces] = {}
        self._learned: dict[tuple[str, str], BpeVocabulary] = {}

    @property
    def words(self) -> WordCounts:
        if self._words is None:
            limit = self._text.max_word_types
            self._words = count_corpus(self._corpus, "train", limit, reporter=self._reporter)
        return self._words

    def pieces(self, kind: TokenizerKind) -> Pieces:
        if kind.scheme not in self._pieces:
            self._pieces[kind.scheme] = make_pieces(self.words, kind, self._text)
        return self._pieces[kind.scheme]

    def tokenizer(self, kind: TokenizerKind, vocab_size: int) -> Tokenizer:
        if kind.algorithm == "unigram":
            return learn_unigram(kind, self.pieces(kind), vocab_size)
        if kind.training not in self._learned:
            largest = max(vocab_size, self._largest.get(kind.training, 0))
            self._learned[kind.training] = learn_bpe(
                kind, self.pieces(kind), largest, self._text.min_frequency
            )
        return cut_bpe(self._learned[kind.training], kind, vocab_size)

    def facts(self, kind: TokenizerKind, tokenizer: Tokenizer) -> dict[str, Any]:
        pieces = self.pieces(kind)
        return {
            "vocab_size": tokenizer.get_vocab_size(),
            "words": self.words.total,
            "words_dropped": self.words.dropped,
            "documents": self.words.documents,
            "pieces": len(pieces.counts),
            "share_of_words_used": pieces.scale,
            "alphabet": len(pieces.alphabet),
        }


def train_tokenizer(
    corpus: Path, out: Path, settings: TokenizerSettings, *, reporter: Reporter = SILENT
) -> Path:
    """Train one tokenizer on the train split, or find it done.

    Args:
        corpus: A corpus folder.
        out: Folder of the tokenizer.
        settings: Kind, size, and how much text is used.
        reporter: Where progress goes.

    Returns:
        `out`, which `load_tokenizer` and `transformers.AutoTokenizer` read.

    Raises:
        ConfigurationError: The size cannot hold the alphabet.
        EmptyCorpusError: The train split has fewer than two distinct words.
    """
    workshop = _SharedWork(corpus, settings.text, {}, reporter)
    _train_one(workshop, corpus, out, settings)
    return out


def train_tokenizers(
    corpus: Path,
    out: Path,
    kinds: Sequence[KindName] = KINDS,
    vocab_sizes: Sequence[int] = (19_000,),
    *,
    text: TrainingTextSettings | None = None,
    reporter: Reporter = SILENT,
) -> list[Path]:
    """Train every kind at every size into `out/<kind>-<size>`; what is there already is left alone.

    Words are counted once, and the kinds built on byte-pair encoding are trained once, at the largest
    size, and cut by merges.

    Raises:
        ConfigurationError: A size is not positive, or cannot hold the alphabet.
        EmptyCorpusError: The train split has fewer than two distinct words.
    """
    text = text or TrainingTextSettings()
    sizes = sorted(set(vocab_sizes), reverse=True)
    largest = {KIND[kind].training: sizes[0] for kind in kinds}
    workshop = _SharedWork(corpus, text, largest, reporter)
    wanted = {
        out / f"{kind}-{size}": parse_settings(
            TokenizerSettings, {"kind": kind, "vocab_size": size, "text": text}
        )
        for kind in kinds
        for size in sizes
    }
    with reporter.task("train tokenizers", total=len(wanted)) as task:
        for folder, settings in wanted.items():
            _train_one(workshop, corpus, folder, settings)
            task.advance(note=folder.name)
    return list(wanted)


def _train_one(workshop: _SharedWork, corpus: Path, out: Path, settings: TokenizerSettings) -> None:
    """Build the artefact; the tokenizer that lies there first is the one that counts.

    Some upstream trainings give another file each time. So a `tokenizer.json` found in a build that was
    interrupted is adopted, and its content enters the id of all that is built on it.
    """
    origin = read_manifest(corpus, "corpus")
    text_form = recorded_text_form(origin)
    plain = settings.model_dump(mode="json") | {
        TEXT_FORM_KEY: None if text_form is None else text_form.model_dump()
    }
    inputs = {"corpus": origin.id}
    if is_artefact(out) and read_manifest(out).id == artefact_id(_KIND, _SCHEMA, plain, inputs):
        return
    with building(out, _KIND, _SCHEMA, plain, inputs) as build:
        kind = KIND[settings.kind]
        path = build.path(TOKENIZER_FILE)
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        else:
            tokenizer = workshop.tokenizer(kind, settings.vocab_size)
            save_tokenizer(tokenizer, build.folder, text_form)
        build.facts |= {"vocab_size_asked": settings.vocab_size, **workshop.facts(kind, tokenizer)}
