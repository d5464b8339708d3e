"""Stage: candidates trained and compared on each language, then the token stores of the chosen one."""

from __future__ import annotations

from lilliput.study.context import StudyContext
from lilliput.tokenization import compare_tokenizers, encode_corpus, train_tokenizers


def build_tokenizers(context: StudyContext) -> None:
    """Train and compare the candidates, and encode every corpus with the one models use."""
    recipe, layout, reporter = context.recipe.tokenizers, context.layout, context.reporter
    for language in context.recipe.languages:
        corpus = layout.corpus(language)
        candidates = train_tokenizers(
            corpus,
            layout.tokenizers(language),
            recipe.kinds,
            recipe.vocab_sizes,
            reporter=reporter,
        )
        compare_tokenizers(corpus, candidates, layout.comparison(language), reporter=reporter)
        chosen = layout.tokenizer(language, recipe.train_with)
        encode_corpus(corpus, chosen, layout.tokens(language), reporter=reporter)
