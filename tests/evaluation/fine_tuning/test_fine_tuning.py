"""Fine-tuning: what it must learn, and what must not matter to it."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.fine_tuning import plain_fine_tuning as plain

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError, NonFiniteLossError
from lilliput.evaluation import FineTuningSettings, load_task
from lilliput.evaluation.batching import prediction_batches, training_batches
from lilliput.evaluation.encoding import lay_end_to_end
from lilliput.evaluation.fine_tuning import seeds
from lilliput.evaluation.fine_tuning.classifier import Classifier, keep_word_rows
from lilliput.evaluation.fine_tuning.epochs import (
    LabelledTexts,
    LinearSchedule,
    Member,
    predict,
    train_epochs,
)
from lilliput.evaluation.fine_tuning.seeds import fine_tune_seeds
from lilliput.evaluation.fine_tuning.stack import ClassifierStack
from lilliput.models import build_model

lengths = st.lists(st.integers(3, 40), min_size=1, max_size=200).map(np.array)


@given(lengths, st.integers(1, 17), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_shows_every_example_once(sizes, batch_size, seed, epoch):
    batches = training_batches(sizes, batch_size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    # All batches are full but one, so that the number of steps follows from the counts.
    full = Counter(map(len, batches))
    assert full[batch_size] >= len(batches) - 1
    other = training_batches(sizes, batch_size, seed + 1, epoch)
    assert [len(b) for b in other] == [len(b) for b in batches]


def test_batches_hold_like_lengths_and_seeds_hold_other_examples():
    sizes = np.random.default_rng(0).integers(3, 60, 4000)
    batches = training_batches(sizes, 32, 0, 0)
    padded = sum(len(b) * sizes[b].max() for b in batches)
    assert padded < 1.05 * sizes.sum()  # random batches of 32 would nearly double it
    assert [b.tolist() for b in training_batches(sizes, 32, 1, 0)] != [b.tolist() for b in batches]


@given(lengths, st.integers(1, 300))
def test_prediction_covers_every_row_within_its_bound(sizes, bound):
    batches = list(prediction_batches(sizes, bound))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    assert all(len(b) == 1 or len(b) * sizes[b].max() <= bound for b in batches)


def _encoder(layout="roberta", **fields):
    config = ModelConfig.for_layout(
        layout,
        vocab_size=60,
        embedding_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_seq_length=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **fields,
    )
    return build_model(config, 0)


def _settings(**changes):
    values = {
        "learning_rates": (5e-3,),
        "num_train_epochs": (3,),
        "seeds": (0, 1),
        "classifier_dropout": 0.0,
        "max_seq_length": 16,
    }
    return FineTuningSettings.model_validate(values | changes)


def _stack(settings, seeds=(0,)):
    models = [Classifier(_encoder(), 2, settings, seed) for seed in seeds]
    return ClassifierStack(models, seeds, settings)


def _data(count=160, seed=0, *, is_regression=False, top=40):
    """Sentences whose label is whether they hold the token 10 (or how often the token 11 occurs)."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], []
    for i in range(count):
        body = rng.integers(12, top, rng.integers(3, 12))
        if is_regression:
            times = i % 4
            body[:times] = 11
            labels.append(float(times))
        else:
            labels.append(float(i % 2))
            if i % 2:
                body[rng.integers(len(body))] = 10
        sequences.append([0, *body.tolist(), 2])
    return LabelledTexts(lay_end_to_end(sequences), np.array(labels), is_regression, 1)


@pytest.mark.parametrize("pooling", ["mean", "first", "positions"])
@pytest.mark.parametrize("head", ["linear", "tanh"])
def test_what_a_word_decides_is_learned(pooling, head):
    settings = _settings(
        pooling=pooling, head=head, pad_to_max=pooling == "positions", num_train_epochs=(8,)
    )
    scored = _data(200, seed=9)
    found = fine_tune_seeds(
        _encoder(), load_task("sst2"), _data(320), {"dev": scored.texts}, settings
    )
    accuracy = (found.predictions["dev"] == scored.labels).mean()
    assert accuracy > 0.9  # chance is 0.5 with a standard error of 0.025


def test_bfloat16_learns_the_same_and_rounds():
    scored = _data(200, seed=9)
    outputs = []
    for dtype in ("float32", "bfloat16"):
        settings = _settings(dtype=dtype, num_train_epochs=(8,))
        found = fine_tune_seeds(
            _encoder(), load_task("sst2"), _data(320), {"dev": scored.texts}, settings
        )
        assert (found.predictions["dev"] == scored.labels).mean() > 0.9  # chance: 0.5 +- 0.025
        outputs.append(predict(_stack(settings), scored.texts, settings, pad=1))
    # Products of 8 bits of mantissa in three layers, on outputs near 0.1.
    np.testing.assert_allclose(outputs[1], outputs[0], atol=5e-3)
    assert not np.array_equal(outputs[1], outputs[0])


def test_a_regression_regains_its_scale():
    settings = _settings(num_train_epochs=(8,))
    train, scored = _data(320, is_regression=True), _data(200, seed=9, is_regression=True)
    found = fine_tune_seeds(_encoder(), load_task("stsb"), train, {"dev": scored.texts}, settings)
    error = np.abs(found.predictions["dev"] - scored.labels).mean()
    assert error < 0.5  # always giving the mean would err by 1.0


def test_the_reference_relu_never_gives_a_negative_value():
    settings = _settings(regression="relu", num_train_epochs=(1,))
    train = _data(64, is_regression=True)
    found = fine_tune_seeds(_encoder(), load_task("stsb"), train, {"d": train.texts}, settings)
    assert (found.predictions["d"] >= 0).all()


@pytest.mark.parametrize("layout", ["mini-bert", "roberta", "electra", "modernbert"])
def test_leaving_out_words_a_task_never_sees_changes_no_prediction(layout):
    settings = _settings(num_train_epochs=(2,), weight_decay=0.01)
    train, scored = _data(64), _data(40, seed=3)
    found = fine_tune_seeds(
        _encoder(layout), load_task("sst2"), train, {"dev": scored.texts}, settings
    )
    for number, seed in enumerate(settings.seeds):
        whole = Classifier(copy.deepcopy(_encoder(layout)), 2, settings, seed)
        rows = fine_tune_rows(train)
        plain.train(whole, rows, settings, learning_rate=5e-3, epochs=2, seed=seed)
        expected = plain.predict(whole, scored.texts, 1).argmax(1)
        assert found.predictions["dev"][number].tolist() == expected.tolist()


def fine_tune_rows(data):
    """The training rows in the order in which every fine-tuning takes them."""
    from lilliput.evaluation.fine_tuning.seeds import _drawn_rows, _part

    return _part(data, _drawn_rows(len(data), None))


def test_word_rows_outside_the_model_are_refused():
    with pytest.raises(ConfigurationError, match=r"vocabulary of 60.*got 60"):
        keep_word_rows(_encoder(), np.array([0, 2, 60]))


def test_padding_changes_nothing_unless_it_is_attended_to():
    texts = _data(30).texts

    def found(**changes):
        settings = _settings(**changes)
        return predict(_stack(settings), texts, settings, 1)

    np.testing.assert_allclose(found(pad_to_max=True), found(), atol=1e-6)
    np.testing.assert_allclose(found(eval_batch_tokens=1), found(), atol=1e-6)
    careless = found(pad_to_max=True, attend_to_padding=True)
    assert not np.allclose(careless, found(), atol=1e-6)


@pytest.mark.parametrize("layout", ["roberta", "llama"])
def test_the_first_token_is_pooled_from_what_the_whole_encoder_gives(layout):
    settings = _settings(pooling="first")
    model = Classifier(_encoder(layout), 2, settings, seed=0).eval()
    ids = torch.tensor([[0, 11, 12, 2], [0, 13, 2, 1]])
    is_token = ids != 1
    for mask in (None, is_token):
        first_BH = model.encoder.encode(ids, mask)[:, 0]
        torch.testing.assert_close(
            model(ids, mask), model.out(first_BH), atol=1e-6, rtol=1e-5
        )  # a few hundred roundings of 6e-8


def test_seeds_differ_and_repeat():
    settings = _settings(classifier_dropout=0.2, num_train_epochs=(1,))
    data = _data(64)

    def outputs(seed):
        stack = _stack(settings, (seed,))
        for _ in train_epochs(stack, data, settings, [Member(5e-3, seed)], epochs=1):
            pass
        return predict(stack, data.texts, settings, 1)

    before = torch.random.get_rng_state()
    first = outputs(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(outputs(0), first)
    assert not np.allclose(outputs(1), first)


def test_the_start_is_left_as_it_was():
    start = _encoder()
    before = copy.deepcopy(start.state_dict())
    data = _data(32)
    fine_tune_seeds(start, load_task("sst2"), data, {"dev": data.texts}, _settings())
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())


def test_choices_are_made_on_held_out_training_examples_alone():
    settings = _settings(learning_rates=(1e-6, 5e-3), num_train_epochs=(1, 6), seeds=(0,))
    train, scored = _data(320), _data(60, seed=5)
    found = fine_tune_seeds(_encoder(), load_task("sst2"), train, {"dev": scored.texts}, settings)
    assert (found.learning_rate, found.epochs) == (5e-3, 6)
    assert len(found.choices) == 4
    best = max(found.choices, key=lambda choice: choice["held_out"])
    assert best["learning_rate"] == 5e-3
    # The scored labels were never given, and nothing of the held-out set is returned.
    assert set(found.predictions) == {"dev"}


def test_how_members_are_cut_into_stacks_changes_nothing(monkeypatch):
    settings = _settings(learning_rates=(1e-3, 5e-3), num_train_epochs=(1, 2), seeds=(0, 1, 2))
    train, scored = _data(96), _data(60, seed=5)

    def found():
        return fine_tune_seeds(_encoder(), load_task("sst2"), train, {"d": scored.texts}, settings)

    whole = found()
    monkeypatch.setattr(seeds, "STACK_SIZE", 4)
    cut = found()
    assert (cut.learning_rate, cut.epochs, cut.choices) == (
        whole.learning_rate,
        whole.epochs,
        whole.choices,
    )
    assert np.array_equal(cut.predictions["d"], whole.predictions["d"])


def test_the_last_epoch_of_the_first_rate_is_taken_when_asked():
    settings = _settings(learning_rates=(1e-6, 5e-3), num_train_epochs=(1, 2), selection="last")
    data = _data(32)
    found = fine_tune_seeds(_encoder(), load_task("sst2"), data, {"dev": data.texts}, settings)
    assert (found.learning_rate, found.epochs, found.choices) == (1e-6, 2, ())


def test_divergence_stops_with_the_rate():
    settings = _settings(learning_rates=(1e30,), max_grad_norm=None)
    data = _data(64)
    with pytest.raises(NonFiniteLossError, match=r"1e\+30"):
        fine_tune_seeds(_encoder(), load_task("sst2"), data, {"dev": data.texts}, settings)


@given(st.integers(1, 500), st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_and_falls(steps, ratio):
    schedule = LinearSchedule.over(steps, _settings(warmup_ratio=ratio))
    shares = [schedule.share(step) for step in range(steps)]
    assert all(0 < share <= 1 for share in shares)
    peak = int(np.argmax(shares))
    assert shares[:peak] == sorted(shares[:peak])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)


def test_the_papers_preset_is_the_published_recipe():
    # Seeds 0-2, five epochs, batch 32, rate 2e-4, no decay, length 128: run_*.sh of the reference code.
    preset = FineTuningSettings.paper()
    assert (preset.seeds, preset.num_train_epochs, preset.batch_size) == ((0, 1, 2), (5,), 32)
    assert (preset.learning_rates, preset.weight_decay) == ((2e-4,), 0.0)
    assert preset.max_seq_length == 128
    switches = (preset.pooling, preset.attend_to_padding, preset.regression, preset.selection)
    assert switches == ("positions", True, "relu", "last")


def test_one_weight_a_position_needs_every_position():
    with pytest.raises(ValueError, match="pad_to_max"):
        FineTuningSettings(pooling="positions")
