"""This room reduces a language: it says what a word is, which words are admitted and which spans of a text pass, and builds the corpora and tables that are left.

Everything streams: documents come in from files or memory, spans that the vocabulary admits leave
as a `corpus` artefact with its provenance, and every drop is counted by reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes

if TYPE_CHECKING:
    from lilliput.language.corpus.build import build_corpus, build_matched_corpus
    from lilliput.language.corpus.estimate import estimate_corpus
    from lilliput.language.corpus.reading import iter_texts, recorded_text_form
    from lilliput.language.corpus.settings import CorpusSettings
    from lilliput.language.reading.documents import Document, Source
    from lilliput.language.tables import filter_table, glue_paper_words
    from lilliput.language.vocabularies.counting import (
        build_vocabulary,
        count_words,
        iter_documents,
    )
    from lilliput.language.vocabularies.making import VocabularySettings, make_vocabulary
    from lilliput.language.words.profiles import PROFILES, WordProfile, word_profile
    from lilliput.language.words.splitting import split_words
    from lilliput.language.words.text_form import TextForm
    from lilliput.language.words.vocabulary import (
        Vocabulary,
        from_counts,
        read_vocabulary,
        write_vocabulary,
    )

# Loaded when first asked for: a study is planned with this room's settings alone, and without its kernels.
_LATER = {
    "build_corpus": "corpus.build",
    "build_matched_corpus": "corpus.build",
    "estimate_corpus": "corpus.estimate",
    "iter_texts": "corpus.reading",
    "recorded_text_form": "corpus.reading",
    "CorpusSettings": "corpus.settings",
    "Document": "reading.documents",
    "Source": "reading.documents",
    "filter_table": "tables",
    "glue_paper_words": "tables",
    "build_vocabulary": "vocabularies.counting",
    "count_words": "vocabularies.counting",
    "iter_documents": "vocabularies.counting",
    "VocabularySettings": "vocabularies.making",
    "make_vocabulary": "vocabularies.making",
    "TextForm": "words.text_form",
    "PROFILES": "words.profiles",
    "WordProfile": "words.profiles",
    "word_profile": "words.profiles",
    "split_words": "words.splitting",
    "Vocabulary": "words.vocabulary",
    "from_counts": "words.vocabulary",
    "read_vocabulary": "words.vocabulary",
    "write_vocabulary": "words.vocabulary",
}

__all__ = [
    "PROFILES",
    "CorpusSettings",
    "Document",
    "Source",
    "TextForm",
    "Vocabulary",
    "VocabularySettings",
    "WordProfile",
    "build_corpus",
    "build_matched_corpus",
    "build_vocabulary",
    "count_words",
    "estimate_corpus",
    "filter_table",
    "from_counts",
    "glue_paper_words",
    "iter_documents",
    "iter_texts",
    "make_vocabulary",
    "read_vocabulary",
    "recorded_text_form",
    "split_words",
    "word_profile",
    "write_vocabulary",
]

__getattr__ = lazy_attributes(__name__, _LATER)
