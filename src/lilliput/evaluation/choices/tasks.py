"""Read multiple-choice tasks: a folder in lm-eval's form, or the rows of COPA, PIQA or ARC-easy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import is_hidden, numbered_records, path_within, require_file
from lilliput.core.reader import read_table
from lilliput.core.seeding import generator
from lilliput.evaluation.choices.templates import (
    answer_of,
    check_template,
    choices_of,
    rendered,
)

_TRAIN, _SCORED = ("train", "training"), ("validation", "dev", "test")
_ENDINGS = (".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class ChoiceItem:
    """Hold one question and its choices.

    Attributes:
        question: What stands before each choice, without the space between; may be empty.
        choices: The texts to choose from.
        gold: Number of the right one.
        texts: What a vocabulary filter reads: the fields of the row, without the template's own words.
        number: Place of the row in its file, from 0.
    """

    question: str
    choices: tuple[str, ...]
    gold: int
    texts: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class ChoiceTask:
    """Describe a multiple-choice task.

    Attributes:
        name: What its score is called.
        scored: Files of the items to score.
        train: Files of the items that solved examples are drawn from; empty where there are none.
        make: A row to its question, choices, answer, and the texts that a vocabulary filter reads.
        delimiter: Stands between question and choice.
        between: Stands between a solved example and the next.
        description: Stands before everything.
        sources: The file that defines the task, where there is one.
    """

    name: str
    scored: tuple[Path, ...]
    train: tuple[Path, ...]
    make: Callable[[Mapping[str, Any]], tuple[str, list[str], int, list[str]]]
    delimiter: str = " "
    between: str = "\n\n"
    description: str = ""
    sources: tuple[Path, ...] = ()

    def items(self, files: Sequence[Path]) -> list[ChoiceItem]:
        """Return the items of some of its files, in order.

        Raises:
            InputError: A row is not an item; the message names file and row.
        """
        found: list[ChoiceItem] = []
        for path in files:
            for row in _rows(path):
                number = len(found)
                try:
                    question, choices, gold, texts = self.make(row)
                except InputError as error:
                    raise InputError(
                        f"row {number} of {path} must be an item of {self.name}: {error.rule}",
                        got=error.got,
                    ) from None
                found.append(ChoiceItem(question, tuple(choices), gold, tuple(texts), number))
        return found

    def prompt(self, item: ChoiceItem, solved: Sequence[ChoiceItem]) -> str:
        """Return what stands before each choice: description, solved examples, question."""
        shown = [one.question + self.delimiter + one.choices[one.gold] for one in solved]
        return self.description + self.between.join([*shown, item.question])

    def solved_examples(
        self, train: Sequence[ChoiceItem], item: ChoiceItem, shots: int, seed: int
    ) -> list[ChoiceItem]:
        """Return the solved examples before an item, drawn anew for each item, without replacement."""
        if not shots:
            return []
        rng = generator(seed, "shots", self.name, item.number)
        return [train[i] for i in rng.choice(len(train), shots, replace=False)]


def _rows(path: Path) -> list[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[Mapping[str, Any]] = read_table(path).to_pylist()
        return rows
    return [record for _, record in numbered_records(path)]


def find_choice_tasks(data: Path, names: Sequence[str] = ()) -> list[ChoiceTask]:
    """Return the tasks in a folder, by name.

    A task is a YAML file in lm-eval's form in the folder or in a sub-folder, or a sub-folder `copa`, `piqa` or
    `arc_easy` with the published rows as `train` and `validation`, `.jsonl` or `.parquet`.

    Raises:
        InputError: There is none, one that was asked for is missing, or a YAML file cannot be used.
    """
    if not data.is_dir():
        raise InputError("the multiple-choice tasks must be in a folder", got=data)
    yamls = [p for p in sorted(data.rglob("*.yaml")) if not is_hidden(p.relative_to(data))]
    tasks = [read_lm_eval_task(path) for path in yamls]
    known = {path.parent for path in yamls}
    for name, make in FORMS.items():
        folder = data / name if data.name != name else data
        if folder.is_dir() and folder not in known and (split := _split_files(folder, _SCORED)):
            tasks.append(ChoiceTask(name, split, _split_files(folder, _TRAIN), make))
    by_name = {task.name: task for task in tasks}
    missing = [name for name in names if name not in by_name]
    if missing or not tasks or len(by_name) < len(tasks):
        raise InputError(
            "multiple-choice tasks must be YAML files in lm-eval's form, each with a name of its own, or folders "
            f"named {', '.join(FORMS)}",
            got=f"no {missing[0]} in {data}" if missing else data,
            remedy=f"There are: {', '.join(by_name)}." if by_name else "Check the path.",
        )
    return [by_name[name] for name in names or sorted(by_name)]


def _split_files(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of the first of these splits that is there."""
    for name in names:
        found = [p for end in _ENDINGS if (p := folder / f"{name}{end}").is_file()]
        if found:
            return (found[0],)
    return ()


# ---- lm-eval's form ------------------------------------------------------------------------------------
def read_lm_eval_task(path: Path) -> ChoiceTask:
    """Return the task in a YAML file: read safely, its templates limited to naming fields, nothing executed.

    The data are files beside it (`dataset_path: json` with `dataset_kwargs.data_files`).

    Raises:
        InputError: It is no multiple-choice task of this form; the message says what is missing.
        MissingExtraError: The package yaml is not installed.
    """
    record = _read_yaml(path)
    name = record.get("task")
    if not isinstance(name, str) or record.get("output_type") != "multiple_choice":
        raise InputError(
            f"{path} must have a task and output_type: multiple_choice",
            got=f"task {name!r}, output_type {record.get('output_type')!r}",
        )
    text, target, choice = (record.get(f"doc_to_{part}") for part in ("text", "target", "choice"))
    if not isinstance(text, str) or not isinstance(target, (str, int)) or choice is None:
        raise InputError(
            f"{path} must say doc_to_text, doc_to_target and doc_to_choice",
            got=", ".join(key for key in record if key.startswith("doc_to")) or "none of them",
        )
    templates = [text, str(target), *([choice] if isinstance(choice, str) else choice)]
    for template in templates:
        check_template(str(template), str(path))
    scored = record.get("test_split") or record.get("validation_split")
    train = record.get("fewshot_split") or record.get("training_split")
    return ChoiceTask(
        name=name.removeprefix("lilliput_"),
        scored=_data_files(path, record, scored),
        train=_data_files(path, record, train) if train else (),
        make=_row_maker(text, target, choice),
        delimiter=str(record.get("target_delimiter", " ")),
        between=str(record.get("fewshot_delimiter", "\n\n")),
        description=str(record.get("description", "")),
        sources=(path,),
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    yaml: Any = require("yaml", "eval")
    try:
        record = yaml.safe_load(require_file(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} must be plain YAML",
            got=str(error).replace("\n", " "),
            remedy="Tags such as !function run code, and are not read: put the texts into the rows.",
        ) from None
    if not isinstance(record, dict) or "include" in record:
        raise InputError(
            f"{path} must be one table of YAML that stands alone",
            got="include" if isinstance(record, dict) else type(record).__name__,
        )
    return record


def _data_files(path: Path, record: Mapping[str, Any], split: Any) -> tuple[Path, ...]:
    """Return the files of a split; all lie in the folder of the YAML file."""
    options = record.get("dataset_kwargs")
    files: Any = options.get("data_files") if isinstance(options, Mapping) else None
    named: Any = files.get(split) if isinstance(files, Mapping) else None
    if not named:
        raise InputError(
            f"{path} must name the files of its split {split!r} under dataset_kwargs.data_files",
            got=repr(files),
        )
    found: list[Path] = []
    for name in [named] if isinstance(named, str) else named:
        given = Path(str(name))
        folder = path.parent.resolve()
        inside = given.relative_to(folder) if given.is_relative_to(folder) else given
        found.append(path_within(folder, str(inside)))
    return tuple(found)


def _row_maker(
    text: str, target: str | int, choice: Any
) -> Callable[[Mapping[str, Any]], tuple[str, list[str], int, list[str]]]:
    template = text if "{{" in text or not text else None

    def make(row: Mapping[str, Any]) -> tuple[str, list[str], int, list[str]]:
        # A bare name is a field where the row has it, else text as it stands (as in lm-eval).
        shown = template if template is not None else (f"{{{{{text}}}}}" if text in row else text)
        question, values = rendered(shown, row)
        choices = choices_of(choice, row)
        return question, choices, answer_of(target, row, choices), [*values, *choices]

    return make


# ---- Published rows ------------------------------------------------------------------------------------
def _copa(row: Mapping[str, Any]) -> tuple[str, list[str], int, list[str]]:
    """COPA as lm-eval asks it: "The man fell because" and two clauses that go on."""
    premise, kind = str(_value(row, "premise")).strip(), _value(row, "question")
    choices = [str(_value(row, f"choice{i}")).strip() for i in (1, 2)]
    if kind not in ("cause", "effect"):
        raise InputError("the question of COPA must be cause or effect", got=repr(kind))
    question = f"{premise[:-1]} {'because' if kind == 'cause' else 'therefore'}"
    clauses = [choice[:1].lower() + choice[1:] for choice in choices]
    return question, clauses, answer_of("label", row, clauses), [premise, *choices]


def _piqa(row: Mapping[str, Any]) -> tuple[str, list[str], int, list[str]]:
    goal, choices = str(_value(row, "goal")), [str(_value(row, f"sol{i}")) for i in (1, 2)]
    question = f"Question: {goal}\nAnswer:"
    return question, choices, answer_of("label", row, choices), [goal, *choices]


def _arc(row: Mapping[str, Any]) -> tuple[str, list[str], int, list[str]]:
    asked = str(_value(row, "question"))
    choices = choices_of("{{choices.text}}", row)
    gold = answer_of("{{choices.label.index(answerKey)}}", row, choices)
    return f"Question: {asked}\nAnswer:", choices, gold, [asked, *choices]


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise InputError("a row must have the published fields", got=f"no {name}")
    return row[name]


FORMS = {"copa": _copa, "piqa": _piqa, "arc_easy": _arc}
