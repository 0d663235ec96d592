"""Seeded draws from a real vocabulary beside the same draws from a sorted one."""

import itertools

import pytest
import torch
from torch import Tensor

from ttc_rl.sampling import Decoding
from ttc_rl.sampling.draws import draw
from ttc_rl.schema import UserError


def sorted_draw(scores: Tensor, uniform: Tensor, decoding: Decoding) -> Tensor:
    """What `draw` is defined to give: everything is sorted, and summed in that order."""
    probs = torch.softmax(scores.double() / decoding.temperature, dim=-1)
    probs, tokens = probs.sort(dim=-1, descending=True, stable=True)
    probs = probs * (probs.cumsum(dim=-1) - probs < decoding.top_p)
    reached = probs.cumsum(dim=-1)
    place = torch.searchsorted(reached, uniform.unsqueeze(1) * reached[:, -1:], right=True)
    last = (probs > 0).sum(dim=-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(place, last)).squeeze(1)


def flat(rows: int, words: int) -> Tensor:
    return 0.01 * torch.randn(rows, words)


def peaked(rows: int, words: int) -> Tensor:
    return 5 * torch.randn(rows, words)


def with_ties(rows: int, words: int) -> Tensor:
    """As a head in bfloat16 gives them."""
    return (3 * torch.randn(rows, words)).bfloat16().float()


def with_impossible(rows: int, words: int) -> Tensor:
    scores = torch.randn(rows, words)
    scores[:, 1:].masked_fill_(torch.rand(rows, words - 1) < 0.3, -torch.inf)
    return scores


@pytest.mark.parametrize("scores", [flat, peaked, with_ties, with_impossible])
@pytest.mark.parametrize("words", [7, 300, 5000])
def test_a_draw_is_that_of_a_sorted_vocabulary(scores, words: int):
    torch.manual_seed(words)
    rows = 400 if words < 1000 else 20
    for temperature, top_p in itertools.product((0.6, 1.0, 3.0), (1.0, 0.95, 0.3)):
        given, decoding = scores(rows, words), Decoding(1, temperature, top_p)
        uniform = torch.rand(rows, dtype=torch.float64)
        uniform[0], uniform[1] = 0.0, 1 - 1e-9
        tokens, _ = draw(given, uniform, decoding)
        assert tokens.tolist() == sorted_draw(given, uniform, decoding).tolist()


def test_a_token_is_drawn_as_often_as_it_is_likely():
    scores = torch.tensor([[1.0, 0.0, -1.0, 2.0, 0.5]])
    uniform = torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tokens, _ = draw(scores.repeat(4000, 1), uniform, Decoding(1, temperature=0.7, top_p=0.8))
    likely = torch.softmax(scores[0] / 0.7, dim=0)[[3, 0]]  # the two that reach 0.8
    shares = torch.bincount(tokens, minlength=5) / 4000
    assert shares[[1, 2, 4]].sum() == 0
    assert shares[[3, 0]].tolist() == pytest.approx((likely / likely.sum()).tolist(), abs=0.02)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_a_log_probability_is_that_of_the_model_at_any_temperature(temperature: float):
    scores = 4 * torch.randn(20, 1000, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = draw(scores, torch.full((20,), 0.7).double(), Decoding(1, temperature, 0.9))
    whole = scores.double().log_softmax(dim=1)
    assert torch.allclose(logprobs, whole.gather(1, tokens.unsqueeze(1)).squeeze(1))
    if temperature == 0:
        assert tokens.tolist() == scores.argmax(dim=1).tolist()


def test_scores_that_are_no_numbers_are_said():
    scores = torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])
    with pytest.raises(UserError, match="NaN or infinity"):
        draw(scores, torch.zeros(2).double(), Decoding(1))
