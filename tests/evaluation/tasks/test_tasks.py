"""Task definitions as data, and the refusal of data that do not fit them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.evaluation.glue.filtering import present_splits
from lilliput.evaluation.tasks.definition import (
    TaskDefinition,
    known_tasks,
    load_task,
    shipped_tasks,
)
from lilliput.evaluation.tasks.examples import examples_of, read_examples

GLUE_TASKS = [task.name for task in shipped_tasks() if task.in_average]


# Official sizes, train / dev, of the nine tasks (Wang et al. 2018, and the released files).
OFFICIAL = {
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "qqp": (363846, 40430),
    "stsb": (5749, 1500),
    "mnli": (392702, 9815 + 9832),
    "qnli": (104743, 5463),
    "rte": (2490, 277),
    "wnli": (635, 71),
}


def test_the_nine_tasks_and_the_diagnostics_are_shipped():
    assert set(known_tasks()) >= {*OFFICIAL, "ax"}
    for name, (train, dev) in OFFICIAL.items():
        task = load_task(name)
        assert task.rows[task.train] == train
        assert sum(task.rows[split] for split in task.dev) == dev
        assert task.licence
        assert task.source


def test_official_metrics():
    metrics = {name: set(load_task(name).metrics) for name in known_tasks()}
    assert metrics["cola"] == metrics["ax"] == {"matthews_corrcoef"}
    assert metrics["mrpc"] == metrics["qqp"] == {"f1", "accuracy"}
    assert metrics["stsb"] == {"pearson", "spearman"}
    assert all(metrics[t] == {"accuracy"} for t in ("sst2", "mnli", "qnli", "rte", "wnli"))
    assert not load_task("ax").in_average


def test_a_new_task_needs_no_python(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "?"\nfields = ["text"]\nlabels = ["no", "yes"]\n'
        'metrics = ["accuracy"]\ntrain = "train"\ndev = ["dev"]\n'
        'source = "me"\nlicence = "CC0"\nversion = "1"\n'
    )
    task = load_task(path)
    assert (task.num_outputs, task.is_regression) == (2, False)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('metrics = ["bleu"]', "bleu"),
        ('metric = ["accuracy"]', "metric"),
        ('label_type = "number"', "number"),
    ],
)
def test_a_task_file_that_breaks_a_rule_is_refused(tmp_path, line, shown):
    base = {
        "name": '"mine"',
        "title": '"?"',
        "fields": '["text"]',
        "labels": '["no", "yes"]',
        "metrics": '["accuracy"]',
        "train": '"train"',
        "dev": '["dev"]',
        "source": '"me"',
        "licence": '"CC0"',
        "version": '"1"',
    }
    key = line.split(" =")[0]
    text = "\n".join([*(f"{k} = {v}" for k, v in base.items() if k != key), line])
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=shown):
        load_task(tmp_path / "mine.toml")


def test_an_unknown_task_is_named_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'snli'.*Known: ax, .*cola"):
        load_task("snli")


def _cola(**columns):
    rows = {"sentence": ["a b.", "c d."], "label": [0, 1], "idx": [7, 9]} | columns
    return pa.table({name: values for name, values in rows.items() if values is not None})


def test_examples_keep_text_label_and_number():
    examples = examples_of(load_task("cola"), _cola(), "here")
    assert examples.texts == (("a b.", "c d."),)
    assert examples.ids.tolist() == [7, 9]
    assert examples.hidden == 0
    assert examples.take(np.array([1])).texts == (("c d.",),)


def test_hidden_labels_are_no_labels():
    assert examples_of(load_task("cola"), _cola(label=[-1, -1]), "here").hidden == 2


@pytest.mark.parametrize(
    ("task", "table", "shown"),
    [
        ("cola", _cola(label=[0, 2]), r"0 to 1 .*got 2"),
        ("cola", _cola(label=[0.5, 1.0]), r"got 0\.5"),
        ("cola", _cola(sentence=None), r"no sentence"),
        ("cola", _cola(label=None), r"no label"),
        ("cola", _cola(sentence=[], label=[], idx=[]), "0 rows"),
        (
            "stsb",
            pa.table({"sentence1": ["a"], "sentence2": ["b"], "label": [5.5]}),
            r"0 to 5.*got 5\.5",
        ),
        (
            "stsb",
            pa.table({"sentence1": ["a"], "sentence2": ["b"], "label": [float("nan")]}),
            "got nan",
        ),
    ],
)
def test_bad_tables_are_refused_with_what_is_wrong(task, table, shown):
    with pytest.raises(InputError, match=shown):
        examples_of(load_task(task), table, "here")


def test_splits_are_read_from_parquet_and_json_lines(tmp_path):
    pq.write_table(_cola(), tmp_path / "train.parquet")
    (tmp_path / "validation.jsonl").write_text('{"sentence": "a b.", "label": 1}\n')
    task = load_task("cola")
    assert len(read_examples(task, tmp_path, "train")) == 2
    assert read_examples(task, tmp_path, "validation").labels.tolist() == [1.0]
    with pytest.raises(InputError, match=r"test\.parquet"):
        read_examples(task, tmp_path, "test")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", [*GLUE_TASKS, "ax"])
def test_the_released_tables_fit_their_definitions(name, data_folder):
    task, folder = load_task(name), data_folder / "glue" / name
    present = present_splits(task, folder)
    assert present
    for split in present:
        examples = read_examples(task, folder, split)
        # Of MNLI and QQP the folder holds a part.
        assert len(examples) == task.rows[split] or name in {"mnli", "qqp"}
        if split in (task.train, *task.dev) and name != "ax":
            assert examples.hidden == 0


def _scale(**bounds):
    """A task whose labels are numbers, with the bounds of its scale if there are any."""
    record = load_task("stsb").model_dump() | {"label_range": None} | bounds
    return TaskDefinition.model_validate(record)


def _pairs_of(labels, **more):
    size = len(labels)
    return pa.table({"sentence1": ["a"] * size, "sentence2": ["b"] * size, "label": labels, **more})


@pytest.mark.parametrize("bounds", [{}, {"label_range": (-2.0, 2.0)}])
def test_minus_one_on_a_scale_that_reaches_it_is_a_label(bounds):
    examples = examples_of(_scale(**bounds), _pairs_of([-1.0, 0.5, -1.0]), "here")
    assert examples.labels.tolist() == [-1.0, 0.5, -1.0]
    assert examples.hidden == 0


def test_minus_one_outside_a_scale_and_an_empty_cell_are_hidden():
    examples = examples_of(load_task("stsb"), _pairs_of([-1.0, 0.5, None]), "here")
    assert examples.labelled.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        (["unacceptable", "acceptable"], [0, 1]),
        ([" Acceptable", "UNACCEPTABLE "], [1, 0]),
        (["0", "1"], [0, 1]),
        ([1.0, 0.0], [1, 0]),
        ([True, False], [1, 0]),
        (pa.array(["acceptable", "unacceptable"]).dictionary_encode(), [1, 0]),
        (pa.array(["acceptable", "unacceptable"], pa.large_string()), [1, 0]),
    ],
)
def test_classes_are_read_by_number_and_by_name(labels, read):
    assert examples_of(load_task("cola"), _cola(label=labels), "here").labels.tolist() == read


@pytest.mark.parametrize(
    "hidden", [["-1", "acceptable"], ["-", "acceptable"], [None, "1"], ["", "1"]]
)
def test_written_signs_of_a_hidden_label_are_none(hidden):
    assert examples_of(load_task("cola"), _cola(label=hidden), "here").labelled.tolist() == [
        False,
        True,
    ]


def test_class_names_may_be_written_with_spaces_or_dashes():
    table = pa.table(
        {
            "premise": ["a"] * 2,
            "hypothesis": ["b"] * 2,
            "label": ["not entailment", "Not-Entailment"],
        }
    )
    definition = TaskDefinition.model_validate(
        load_task("mnli").model_dump() | {"labels": ("entailment", "not_entailment")}
    )
    assert examples_of(definition, table, "here").labels.tolist() == [1, 1]


def test_an_unknown_class_name_is_refused_with_its_row_and_the_known_names():
    with pytest.raises(InputError, match=r"unacceptable, acceptable.*'fine' in row 2"):
        examples_of(load_task("cola"), _cola(label=["acceptable", "fine"]), "here")


@pytest.mark.parametrize("ids", [["dev-0", "dev-1"], [1.5, 2.5], [None, 3], [4, 4]])
def test_ids_that_do_not_number_the_examples_give_way_to_the_rows(ids):
    assert examples_of(load_task("cola"), _cola(idx=ids), "here").ids.tolist() == [0, 1]


def test_json_lines_are_read_as_they_are_written(tmp_path):
    lines = [
        '{"sentence": "2020-01-01", "label": 1}',
        "",
        '{"sentence": "a\u2028b", "label": 0, "note": "only here"}',
    ]
    (tmp_path / "train.jsonl").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", newline="")
    examples = read_examples(load_task("cola"), tmp_path, "train")
    assert examples.texts == (("2020-01-01", "a\u2028b"),)
    assert examples.labels.tolist() == [1, 0]


def test_a_damaged_line_is_named_by_its_number_in_the_file(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"sentence": "a", "label": 1}\n\n\n{"sentence":\n')
    with pytest.raises(InputError, match="line 4 of"):
        read_examples(load_task("cola"), tmp_path, "train")
