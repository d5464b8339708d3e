"""This stage makes the list of allowed words, every corpus, and the probes made from its held-out text."""

from __future__ import annotations

from pathlib import Path

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import EmptyCorpusError
from lilliput.core.hashing import content_id
from lilliput.language import (
    Vocabulary,
    build_corpus,
    build_matched_corpus,
    build_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from lilliput.language.scores import prune_corpus, score_corpus
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.recipe.languages import LanguageRecipe, PrunedLanguage
from lilliput.study.recipe.sources import asked_score, text_sources


def build_languages(context: StudyContext) -> None:
    """Build vocabulary, constrained corpora, the unconstrained ones that copy their size, then pruned ones."""
    vocabulary = _vocabulary(context)
    languages = context.recipe.languages
    for name, language in languages.items():
        if not language.matched_to and language.pruned is None:
            _build_constrained(context, name, language, vocabulary)
    for name, language in languages.items():
        if language.matched_to:
            _build_matched(context, name, language)
    pruned = {name: language.pruned for name, language in languages.items() if language.pruned}
    # Those that copy another's mix of sources come after it.
    for name, pruning in sorted(pruned.items(), key=lambda item: item[1].like is not None):
        _build_pruned(context, name, pruning)


def _build_constrained(
    context: StudyContext, name: str, language: LanguageRecipe, vocabulary: Vocabulary
) -> None:
    layout, words = context.layout, vocabulary
    if language.words is not None:
        words = vocabulary.part(language.words.size, language.words.by)
        write_vocabulary(
            words,
            layout.words(name),
            settings=language.words.model_dump(mode="json"),
            inputs={"vocabulary": read_manifest(layout.vocabulary).id},
        )
    facts = build_corpus(
        text_sources(context.recipe, language.sources, language.text_unit),
        words,
        layout.corpus(name),
        language.corpus,
        reporter=context.reporter,
        executor=context.executor,
        leave_out=[context.layout.root],
    )
    wanted, found = language.corpus.max_train_words, facts["splits"]["train"]["words"]
    if context.recipe.language_sizes and wanted and found < wanted:
        raise EmptyCorpusError(
            f"every language of language_sizes must have {wanted:,} words to train on",
            got=f"{found:,} words in {name}",
            remedy="Lower language_sizes.train_words, leave out the smallest sizes, or give more texts.",
        )


def _build_pruned(context: StudyContext, name: str, pruning: PrunedLanguage) -> None:
    layout = context.layout
    scores = None if pruning.by is None else build_scores(context, pruning.of, pruning.by)
    prune_corpus(
        layout.corpus(pruning.of),
        layout.corpus(name),
        pruning.settings,
        scores=scores,
        like=None if pruning.like is None else layout.corpus(pruning.like),
    )


def build_order_scores(context: StudyContext) -> None:
    """Score the corpora whose runs read their sequences in the order of a score."""
    for language, score in sorted(
        {(run.language, run.training.order.score) for run in context.grid.runs}
    ):
        if score:
            build_scores(context, language, score)


def build_scores(context: StudyContext, language: str, score: str) -> Path:
    """Score the spans of a language, by a scorer or by what the recipe calls `score`; the folder."""
    layout = context.layout
    out = layout.scores(language) / score
    own = layout.words(language)
    score_corpus(
        layout.corpus(language),
        asked_score(context.recipe, score),
        out,
        vocabulary=own if is_artefact(own) else layout.vocabulary,
        reporter=context.reporter,
        executor=context.executor,
    )
    return out


def _build_matched(context: StudyContext, name: str, language: LanguageRecipe) -> None:
    twin = context.recipe.languages[language.matched_to]
    build_matched_corpus(
        text_sources(context.recipe, language.sources, language.text_unit),
        context.layout.corpus(language.matched_to),
        context.layout.corpus(name),
        by_source=language.sources == twin.sources,
        reporter=context.reporter,
        executor=context.executor,
        leave_out=[context.layout.root],
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
            leave_out=[context.layout.root],
        )
    vocabulary = vocabulary.with_words(recipe.add_words)
    write_vocabulary(vocabulary, out, settings=settings, inputs=origin)
    return vocabulary
