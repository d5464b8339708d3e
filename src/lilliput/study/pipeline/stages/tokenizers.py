"""This stage trains and compares candidates on each language, then writes the token stores of the chosen one."""

from __future__ import annotations

from pathlib import Path

from lilliput.core.files import require_file
from lilliput.study.pipeline.context import StudyContext
from lilliput.tokenization import compare_tokenizers, encode_corpus, train_tokenizers


def build_tokenizers(context: StudyContext) -> None:
    """Train and compare the candidates, and encode every corpus with the one models use."""
    recipe, layout, reporter = context.recipe.tokenizers, context.layout, context.reporter
    morphology = _morphology(context)
    for language in context.recipe.languages:
        corpus = layout.corpus(language)
        if context.recipe.tokenized_as(language) != language:
            continue
        candidates = train_tokenizers(
            corpus,
            layout.tokenizers(language),
            recipe.kinds,
            recipe.vocab_sizes,
            reporter=reporter,
        )
        compare_tokenizers(
            corpus,
            candidates,
            layout.comparison(language),
            morphology=morphology,
            reporter=reporter,
        )
    for language in context.recipe.languages:
        origin = context.recipe.tokenized_as(language)
        chosen = layout.tokenizer(origin, recipe.train_with)
        encode_corpus(layout.corpus(language), chosen, layout.tokens(language), reporter=reporter)


def _morphology(context: StudyContext) -> Path | None:
    """Return the gold segmentations that the recipe names, looked for before the work begins."""
    named = context.recipe.tokenizers.morphology
    if not named:
        return None
    path = Path(context.recipe.resolve(named))
    require_file(path, "the file of tokenizers.morphology")
    return path
