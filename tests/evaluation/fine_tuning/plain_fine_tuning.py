"""Fine-tuning one classifier as plainly as it can be said: what the stack must agree with."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from lilliput.evaluation.batching import training_batches
from lilliput.evaluation.fine_tuning.epochs import LinearSchedule


def outputs(model, texts, rows, pad, *, width=None):
    """Outputs (B, C) of a classifier for the sequences at `rows`."""
    lengths = texts.lengths[rows]
    width = width or int(lengths.max())
    ids = torch.from_numpy(texts.padded(rows, width, pad))
    return model(ids, torch.from_numpy(np.arange(width) < lengths[:, None]))


def loss_of(model, data, rows):
    """Mean loss over the examples at `rows`."""
    out = outputs(model, data.texts, rows, data.pad)
    labels = torch.from_numpy(data.labels[rows])
    if data.is_regression:
        return functional.mse_loss(out[:, 0], labels.float())
    return functional.cross_entropy(out, labels.long())


def train(model, data, settings, *, learning_rate, epochs, seed):
    """Train `model` in place with torch's own AdamW and clipping; the loss of each update."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
    )
    updates = epochs * -(-len(data) // settings.batch_size)
    schedule = LinearSchedule.over(updates, settings)
    model.train()
    losses = []
    for epoch in range(epochs):
        for rows in training_batches(data.texts.lengths, settings.batch_size, seed, epoch):
            optimizer.zero_grad()
            loss = loss_of(model, data, rows)
            loss.backward()
            if settings.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * schedule.share(len(losses))
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def predict(model, texts, pad):
    """Outputs for all sequences, shape (n, C)."""
    model.eval()
    return outputs(model, texts, np.arange(len(texts)), pad).double().numpy()
