"""This stage makes the list of allowed words, every corpus, and the probes made from its held-out text."""

from __future__ import annotations

from pathlib import Path

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.hashing import content_id
from lilliput.language import (
    Vocabulary,
    build_corpus,
    build_matched_corpus,
    build_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.recipe.schema import LanguageRecipe
from lilliput.study.recipe.sources import text_sources


def build_languages(context: StudyContext) -> None:
    """Build vocabulary, constrained corpora, then the unconstrained ones that copy their size."""
    vocabulary = _vocabulary(context)
    languages = context.recipe.languages
    for name, language in languages.items():
        if not language.matched_to:
            build_corpus(
                text_sources(context.recipe, language.sources, language.text_unit),
                vocabulary,
                context.layout.corpus(name),
                language.corpus,
                reporter=context.reporter,
                executor=context.executor,
            )
    for name, language in languages.items():
        if language.matched_to:
            _build_matched(context, name, language)


def _build_matched(context: StudyContext, name: str, language: LanguageRecipe) -> None:
    twin = context.recipe.languages[language.matched_to]
    build_matched_corpus(
        text_sources(context.recipe, language.sources, language.text_unit),
        context.layout.corpus(language.matched_to),
        context.layout.corpus(name),
        by_source=language.sources == twin.sources,
        reporter=context.reporter,
        executor=context.executor,
    )


def _vocabulary(context: StudyContext) -> Vocabulary:
    recipe, out = context.recipe.vocabulary, context.layout.vocabulary
    settings = recipe.model_dump(mode="json")
    origin = {"recipe": content_id(settings)}
    if recipe.file:
        vocabulary = read_vocabulary(Path(context.recipe.resolve(recipe.file)))
        for entry in vocabulary.damaged:
            context.reporter.say(
                f"damaged vocabulary entry, which can match no clean text: {entry}"
            )
    elif is_artefact(out) and dict(read_manifest(out).inputs) == origin:
        return read_vocabulary(out)
    else:
        vocabulary = build_vocabulary(
            text_sources(context.recipe, recipe.sources),
            profile=recipe.word_profile,
            coverage=recipe.coverage,
            size=recipe.size,
            reporter=context.reporter,
        )
    vocabulary = vocabulary.with_words(recipe.add_words)
    write_vocabulary(vocabulary, out, settings=settings, inputs=origin)
    return vocabulary
