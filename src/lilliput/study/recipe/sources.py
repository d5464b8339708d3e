"""The texts that a recipe names are looked for before anything is written, then read by the stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import InputError
from lilliput.core.files import require_file
from lilliput.core.wording import plural
from lilliput.evaluation.pairs.reading import find_paradigms
from lilliput.evaluation.tasks.definition import load_task
from lilliput.language import Source
from lilliput.language.reading.documents import TextUnit
from lilliput.language.reading.files import find_files, is_remote
from lilliput.language.reading.packages import PACKAGE_PREFIX, require_package
from lilliput.study.recipe.schema import Recipe
from lilliput.study.store.layout import StudyLayout


def require_sources(recipe: Recipe, layout: StudyLayout) -> None:
    """Refuse a recipe whose files are not there; what lies on the network is met when it is read.

    Raises:
        InputError: A folder or a file is missing, or a folder holds no file of a known kind.
        MissingExtraError: A package of texts is not installed.
        ConfigurationError: A {name} is not in the recipe's `paths`.
    """
    for place in _places(recipe):
        _require_folder(recipe, place)
        recipe.resolve(place)
    if recipe.vocabulary.file:
        require_file(Path(recipe.resolve(recipe.vocabulary.file)), "the file of the vocabulary")
    if recipe.tokenizers.morphology:
        path = Path(recipe.resolve(recipe.tokenizers.morphology))
        require_file(path, "the file of tokenizers.morphology")
    _require_tasks(recipe)
    _require_scores(recipe)
    named = list(recipe.languages.values())
    texts = {text: None for language in named for text in language.sources}
    if not is_artefact(layout.vocabulary):  # Else its words are counted already.
        texts |= dict.fromkeys(recipe.vocabulary.sources)
    for source in text_sources(recipe, list(texts)):
        if source.path.startswith(PACKAGE_PREFIX):
            require_package(source.path.removeprefix(PACKAGE_PREFIX))
        elif not _is_elsewhere(source.path):
            find_files([source], leave_out=[layout.root])


# Fewer words than this taught no model of ours more than the frequencies of tokens (recipes/domain.toml).
_LEAST_WORDS = 50_000
_BYTES_A_WORD = (
    6  # Of English with its spaces; other languages differ by less than the sentence claims.
)
_UNPACKED = 2.7  # Bytes of text in a byte of a compressed file.


def remarks_on_size(recipe: Recipe, layout: StudyLayout) -> tuple[str, ...]:
    """Return a sentence for each language whose files hold too little text to teach a model much.

    Languages that are built already, or whose texts come from packages or the network, are left out.
    """
    remarks: list[str] = []
    for name, language in recipe.languages.items():
        if language.pruned is not None or is_artefact(layout.corpus(name)):
            continue
        sources = text_sources(recipe, language.sources)
        if any(_is_elsewhere(source.path) for source in sources):
            continue
        files = find_files(sources, leave_out=[layout.root])
        words = sum(f.size * (_UNPACKED if f.compression else 1) for f in files) / _BYTES_A_WORD
        if words < _LEAST_WORDS:
            rounded = max(1, round(words, -3 if words > 10_000 else -2))
            remarks.append(
                f"languages.{name}: about {rounded:,.0f} words at most in {plural(len(files), 'file')}; "
                f"{_LEAST_WORDS:,} are about the least that can teach a model anything."
            )
    return tuple(remarks)


def _is_elsewhere(path: str) -> bool:
    return path.startswith((PACKAGE_PREFIX, "hub:")) or is_remote(path)


def _require_tasks(recipe: Recipe) -> None:
    """Raise where a GLUE task is not known or not in its folder, or no file of pairs is there."""
    if recipe.glue:
        from lilliput.evaluation.glue.filtering import present_splits

        for name in recipe.glue.tasks:
            task = load_task(name)
            present_splits(task, Path(recipe.resolve(recipe.glue.data)) / task.name)
    if recipe.pairs:
        find_paradigms(Path(recipe.resolve(recipe.pairs.data)))
    if recipe.choices and recipe.choices.data:
        from lilliput.evaluation.choices.tasks import find_choice_tasks

        find_choice_tasks(Path(recipe.resolve(recipe.choices.data)))


def asked_score(recipe: Recipe, name: str) -> dict[str, Any]:
    """Return the scorer that a recipe means by a name, with its settings and the recipe's folders filled in."""
    given = recipe.scores.get(name, {"name": name})
    return {k: recipe.resolve(v) if isinstance(v, str) else v for k, v in given.items()}


def _require_scores(recipe: Recipe) -> None:
    """Raise ConfigurationError where a score that a pruned language reads, or one of [scores], is not known."""
    pruned = [language.pruned for language in recipe.languages.values() if language.pruned]
    names = [*recipe.scores, *(one.by for one in pruned if one.by is not None)]
    if names:
        from lilliput.language.scores.build import scorer_settings

        for name in names:
            scorer_settings(asked_score(recipe, name))


def text_sources(recipe: Recipe, sources: Sequence[str], unit: TextUnit = "auto") -> list[Source]:
    """Return the sources with the recipe's folders filled in.

    Raises:
        InputError: One of these folders is not there.
        ConfigurationError: A {name} is not in the recipe's `paths`.
    """
    for source in sources:
        _require_folder(recipe, source)
    return [Source(path=recipe.resolve(source), text_unit=unit) for source in sources]


def _places(recipe: Recipe) -> Iterator[str]:
    """Everything beside texts and tables of words in which a folder of `paths` may stand."""
    yield from filter(None, [recipe.vocabulary.file, recipe.tokenizers.morphology])
    yield from (
        part.data for part in (recipe.glue, recipe.pairs, recipe.choices) if part is not None
    )


def _require_folder(recipe: Recipe, text: str) -> None:
    """Raise InputError where `text` names a folder of the recipe that is not there."""
    for name, folder in recipe.paths.items():
        if "{" + name + "}" not in text or is_remote(folder):
            continue
        path = Path(folder).expanduser()
        if not path.exists():
            raise InputError(
                f"paths.{name} must be a folder that exists",
                got=f"{folder}, and there is no {path.absolute()}",
                remedy=f"Give the right folder with --set paths.{name}=FOLDER, or in the recipe under [paths].",
            )
