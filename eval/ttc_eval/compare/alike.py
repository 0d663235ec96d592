"""How alike models answer: the same task, samples of two models, the cosine of their texts.

Models of all kinds answer open questions alike (arXiv 2510.22954), and arms that were trained for
one test may become one model. Within a model the pairs are of its own different samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ttc_rl.metrics import Estimate, bootstrap_means

# T tasks, S samples a task of a model, D embedding size.
Texts = Mapping[str, Sequence[str]]
"""Task id -> a model's samples of it."""


def alike(
    models: Mapping[str, Texts], encode: Callable[[Sequence[str]], np.ndarray]
) -> dict[tuple[str, str], Estimate]:
    """Return for each pair of models, and each model with itself, the mean cosine over tasks.

    Only tasks that all models have are compared. `encode` returns unit vectors, shape (n, D).
    Empty where no task has two samples of every model.
    """
    ids = sorted(set.intersection(*(set(texts) for texts in models.values())))
    ids = [i for i in ids if all(len(texts[i]) > 1 for texts in models.values())]
    if not ids:
        return {}
    every = list(dict.fromkeys(text for texts in models.values() for i in ids for text in texts[i]))
    vector_of = dict(zip(every, encode(every), strict=True))
    samples = {
        name: [np.stack([vector_of[text] for text in texts[i]]) for i in ids]
        for name, texts in models.items()
    }
    names = list(models)
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n:]]
    columns = [
        np.array([_cosine(x, y, a == b) for x, y in zip(samples[a], samples[b], strict=True)])
        for a, b in pairs
    ]
    return dict(zip(pairs, bootstrap_means(columns), strict=True))


def _cosine(first_SD: np.ndarray, second_SD: np.ndarray, same: bool) -> float:
    """Return the mean cosine of pairs of samples; of a model with itself, of different samples."""
    cosine_SS = first_SD @ second_SD.T
    if not same:
        return float(cosine_SS.mean())
    count = len(first_SD)
    return float((cosine_SS.sum() - np.trace(cosine_SS)) / (count * (count - 1)))
