"""The stack against one classifier at a time, its dropout and its attention against plain forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.evaluation.fine_tuning import plain_fine_tuning as plain

from lilliput.architecture import ModelConfig
from lilliput.evaluation import FineTuningSettings
from lilliput.evaluation.encoding import lay_end_to_end
from lilliput.evaluation.fine_tuning.attention import short_attention
from lilliput.evaluation.fine_tuning.classifier import Classifier
from lilliput.evaluation.fine_tuning.dropout import (
    DropoutKeys,
    drop,
    kept_elements,
    keyed_dropout,
)
from lilliput.evaluation.fine_tuning.epochs import (
    LabelledTexts,
    Member,
    draws_of_its_own,
    predict,
    train_epochs,
)
from lilliput.evaluation.fine_tuning.stack import ClassifierStack
from lilliput.models import build_model
from lilliput.models.attention import AttentionContext, rotate

MEMBERS = [Member(3e-3, 0), Member(1e-3, 1), Member(3e-3, 2)]


def _encoder(layout, dropout=0.0):
    config = ModelConfig.for_layout(
        layout,
        vocab_size=60,
        embedding_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_seq_length=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return build_model(config, 0)


def _settings(**changes):
    values = {"classifier_dropout": 0.0, "max_seq_length": 24, "batch_size": 8}
    return FineTuningSettings.model_validate(values | changes)


def _data(*, is_regression=False, lengths=(3, 22), count=30):
    rng = np.random.default_rng(0)
    sequences = [
        [0, *rng.integers(5, 60, rng.integers(*lengths, endpoint=True)).tolist(), 2]
        for _ in range(count)
    ]
    labels = rng.random(count) if is_regression else rng.integers(0, 2, count).astype(float)
    return LabelledTexts(lay_end_to_end(sequences), labels, is_regression, 1)


def _stack(encoder, members, settings, outputs=2):
    models = [Classifier(copy.deepcopy(encoder), outputs, settings, one.seed) for one in members]
    return ClassifierStack(models, [one.seed for one in members], settings)


def _trained(encoder, data, settings, members, epochs=2):
    outputs = 1 if data.is_regression else 2
    stack = _stack(encoder, members, settings, outputs)
    for _ in train_epochs(stack, data, settings, members, epochs=epochs):
        pass
    return predict(stack, data.texts, settings, data.pad)


@pytest.mark.parametrize("layout", ["mini-bert", "roberta", "electra", "modernbert", "llama"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_stack_trains_its_members_as_each_would_train_alone(layout, pooling):
    settings = _settings(pooling=pooling, head="tanh" if pooling == "first" else "linear")
    data, encoder = _data(), _encoder(layout)
    found = _trained(encoder, data, settings, MEMBERS)
    for number, one in enumerate(MEMBERS):
        model = Classifier(copy.deepcopy(encoder), 2, settings, one.seed)
        untrained = plain.predict(model, data.texts, 1)
        plain.train(model, data, settings, learning_rate=one.learning_rate, epochs=2, seed=one.seed)
        expected = plain.predict(model, data.texts, 1)
        moved = np.abs(expected - untrained).max()
        # AdamW divides by the gradient's own size, which lifts rounding where a gradient is near zero.
        np.testing.assert_allclose(found[number], expected, atol=2e-3 * moved)


def test_a_stacked_regression_and_its_relu_agree_too():
    settings = _settings(regression="relu", max_grad_norm=None)
    data, encoder = _data(is_regression=True), _encoder("roberta")
    found = _trained(encoder, data, settings, MEMBERS)
    for number, one in enumerate(MEMBERS):
        model = Classifier(copy.deepcopy(encoder), 1, settings, one.seed)
        plain.train(model, data, settings, learning_rate=one.learning_rate, epochs=2, seed=one.seed)
        np.testing.assert_allclose(found[number], plain.predict(model, data.texts, 1), atol=1e-4)


def test_one_weight_a_position_agrees_too():
    settings = _settings(pooling="positions", pad_to_max=True, attend_to_padding=True)
    data, encoder = _data(), _encoder("mini-bert")
    stack = _stack(encoder, MEMBERS, settings)
    found = predict(stack, data.texts, settings, 1)
    for number, one in enumerate(MEMBERS):
        model = Classifier(copy.deepcopy(encoder), 2, settings, one.seed).eval()
        with torch.no_grad():
            expected = plain.outputs(model, data.texts, np.arange(30), 1, width=24)
        np.testing.assert_allclose(found[number], expected.numpy(), atol=1e-6)


def test_a_members_dropout_depends_on_no_other_member():
    settings = _settings(classifier_dropout=0.1)
    data, encoder = _data(lengths=(12, 12)), _encoder("electra", dropout=0.1)
    together = _trained(encoder, data, settings, MEMBERS)
    alone = [_trained(encoder, data, settings, [one])[0] for one in MEMBERS]
    without = _trained(encoder, data, _settings(encoder_dropout=0.0), MEMBERS)
    effect = np.abs(together - without).max()
    np.testing.assert_allclose(together, np.stack(alone), atol=2e-3 * effect)


def test_the_encoders_dropout_is_pre_trainings_unless_set():
    data = _data()
    plain_one, dropping = _encoder("roberta"), _encoder("roberta", dropout=0.2)
    as_trained = _trained(dropping, data, _settings(), MEMBERS)
    np.testing.assert_array_equal(
        _trained(plain_one, data, _settings(encoder_dropout=0.2), MEMBERS), as_trained
    )
    np.testing.assert_array_equal(
        _trained(dropping, data, _settings(encoder_dropout=0.0), MEMBERS),
        _trained(plain_one, data, _settings(), MEMBERS),
    )
    assert not np.allclose(as_trained, _trained(plain_one, data, _settings(), MEMBERS), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@hypothesis_settings(deadline=None)  # The first call compiles.
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 0.5]), st.integers(1, 70))
def test_dropout_keeps_what_the_plain_hash_keeps_and_rounds_as_torch(dtype, key, p, count):
    x = torch.linspace(-3, 2, 2 * count).view(2, count).to(dtype)
    keys = np.array([key, key ^ 1], dtype=np.uint32)
    found = drop(x, keys, p)
    kept = torch.from_numpy(np.stack([kept_elements(int(k), count, p) for k in keys]))
    scale = torch.tensor(1 / (1 - p), dtype=torch.float32)
    assert torch.equal(found, torch.where(kept, (x.float() * scale).to(dtype), 0))


def test_fine_tuning_gives_back_the_callers_generators(monkeypatch):
    """That of the GPU on which it draws, too."""
    asked, real = [], torch.random.fork_rng

    def fork_rng(devices):
        asked.append(devices)
        return real(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    before = torch.get_rng_state()
    for device in (torch.device("cuda", 0), torch.device("cpu")):
        with draws_of_its_own(device, 5):
            torch.rand(3)
    assert asked == [[torch.device("cuda", 0)], []]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_share_that_is_dropped_is_within_sampling_error():
    n, p = 200_000, 0.1
    shares = [1 - kept_elements(key, n, p).mean() for key in (0, 1, 2**31, 123_456_789)]
    assert all(abs(share - p) < 5 * np.sqrt(p * (1 - p) / n) for share in shares)
    # Masks of neighbouring keys, and neighbouring elements of a mask, know nothing of each other.
    first, second = (kept_elements(key, n, p) for key in (7, 8))
    for a, b in ((first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)


def test_what_is_dropped_gets_no_gradient_and_masks_differ_by_update_and_call():
    x = torch.ones(1, 1000, requires_grad=True)
    draws = DropoutKeys((5,))
    masks = []
    for update in (0, 1):
        draws.begin(update)
        for _ in range(2):
            y = keyed_dropout(x, 0.3, draws)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(gradient, y.detach())
            masks.append(y.detach() > 0)
    assert len({mask.numpy().tobytes() for mask in masks}) == 4
    draws.begin(0)
    assert torch.equal(keyed_dropout(x, 0.3, draws).detach() > 0, masks[0])


@pytest.mark.parametrize("length", [3, 15, 16, 33])
@pytest.mark.parametrize("is_one_query", [False, True])
@pytest.mark.parametrize("has_padding", [False, True])
@pytest.mark.parametrize("is_rotary", [False, True])
def test_short_attention_is_attention_in_float64(length, is_one_query, has_padding, is_rotary):
    batch, heads, width, p = 4, 2, 8, 0.25
    generator = torch.Generator().manual_seed(0)
    product = torch.randn(batch * length, 3 * heads * width, generator=generator)
    product.requires_grad_()
    biases = torch.randn(2, 3 * heads * width, generator=generator, requires_grad=True)
    hidden = torch.zeros(batch, 1, 1, length)
    hidden[1, ..., length // 2 :] = -30_000.0
    rows = torch.arange(batch) * length + torch.tensor([0, 1, 0, 2])
    keys = np.array([3, 9], dtype=np.uint32)
    angles = torch.arange(length)[:, None] * 0.3 ** torch.arange(width // 2)
    angles = torch.cat((angles, angles), dim=-1)[None, None]
    rotation = (angles.cos(), angles.sin()) if is_rotary else None
    shared = AttentionContext(
        batch, length, heads, "plain", False, hidden if has_padding else None, rotation
    )
    asked = rows if is_one_query else None
    found = short_attention(product, biases, shared, asked, keys, p)

    qkv = product.double() + biases.double().repeat_interleave(batch * length // 2, 0)
    q, k, v = qkv.view(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4)
    if is_rotary:
        q, k = (rotate(x, angles.double().cos(), angles.double().sin()) for x in (q, k))
    weights = (q @ k.transpose(2, 3) * width**-0.5 + has_padding * hidden).softmax(-1)
    if is_one_query:
        weights = weights.transpose(1, 2).flatten(0, 1)[rows][:, :, None]
    is_turned = length < 16 and not is_one_query
    laid_out = weights.transpose(2, 3) if is_turned else weights
    kept = np.concatenate([kept_elements(int(key), laid_out.numel() // 2, p) for key in keys])
    mask = torch.from_numpy(kept).view(laid_out.shape) / (1 - p)
    weights = weights * (mask.transpose(2, 3) if is_turned else mask)
    expected = (weights @ v).transpose(1, 2).reshape(found.shape)

    upstream = torch.randn(found.shape, generator=generator)
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)
    ours, theirs = (
        torch.autograd.grad((y * upstream).sum(), (product, biases), retain_graph=True)
        for y in (found, expected)
    )
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=3e-5, rtol=1e-5)


def test_bfloat16_gradients_are_those_of_float32_but_for_rounding():
    data, encoder = _data(), _encoder("electra")
    gradients = []
    for dtype in ("float32", "bfloat16"):
        settings = _settings(dtype=dtype, max_grad_norm=None)
        stack = _stack(encoder, MEMBERS, settings)
        rows = np.tile(np.arange(30), 3)
        ids = torch.from_numpy(data.texts.padded(rows, 24, 1))
        labels = torch.from_numpy(data.labels[rows]).long()
        stack.step(0, ids, ids != 1, labels, [0.0] * 3)
        gradients.append(stack.gradients.clone())
    cosine = torch.nn.functional.cosine_similarity(*gradients)
    # Two layers of products with 8 bits each; float32 by another path would give 1 - 1e-6.
    assert (cosine > 0.999).all()
