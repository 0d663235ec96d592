"""Draw the next token of every row, each by its own random number.

R rows of a batch, V words of the vocabulary, B bins of a histogram, M words of one bin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ttc_rl.sampling import Decoding
from ttc_rl.schema import UserError

BINS, WORDS_PER_BIN = 1024, 64
NATS = 32.0
"""What is less likely than the likeliest word by a factor of e^32 shares the last bin."""
AT_ONCE = 2**20
"""Numbers to work on together: several copies of them in float64 fit a processor's cache."""


def draw(scores_RV: Tensor, uniform_R: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
    """Return each row's token and its log-probability under the model as it is; shapes (R,).

    Temperature 0 takes the likeliest. Otherwise by the inverse of the distribution function, words
    from the likeliest down, the first of equal ones first: the nucleus is the fewest that reach
    `top_p`, and the token is the one where the cumulative probability first exceeds `uniform` times
    the nucleus' whole. Sums are float64, in an order of their own: a random number within about
    1e-12 of a boundary may fall on its other side than under a sorted sum.
    """
    rows = max(1, AT_ONCE // scores_RV.shape[1])
    pairs = zip(scores_RV.split(rows), uniform_R.split(rows), strict=True)
    tokens, logprobs = zip(*(_draw(*pair, decoding) for pair in pairs), strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _draw(scores_RV: Tensor, uniform_R: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
    best_R1 = scores_RV.amax(dim=1, keepdim=True)
    if not best_R1.isfinite().all():
        raise UserError(
            "the model scores its next token with NaN or infinity: its weights are damaged, or too "
            "large for their dtype; load a whole checkpoint, or another model.dtype"
        )
    gap_RV = best_R1 - scores_RV.double()
    if decoding.temperature == 0:
        token_R1 = scores_RV.argmax(dim=1, keepdim=True)
        whole_R1 = _whole(gap_RV)
    else:
        ranking = _Ranking(gap_RV, decoding.temperature)
        nucleus_R1 = ranking.whole_R1
        if decoding.top_p < 1:
            _, nucleus_R1 = ranking.reach(decoding.top_p * nucleus_R1, beyond=False)
        below_R1 = nucleus_R1.nextafter(torch.zeros_like(nucleus_R1))
        wanted_R1 = torch.minimum(uniform_R.unsqueeze(1) * nucleus_R1, below_R1)
        token_R1, _ = ranking.reach(wanted_R1, beyond=True)
        plain = decoding.temperature == 1
        whole_R1 = ranking.whole_R1 if plain else _whole(gap_RV)
    logprob_R1 = -gap_RV.gather(1, token_R1) - whole_R1.log()
    return token_R1.squeeze(1), logprob_R1.squeeze(1)


def _whole(gap_RV: Tensor) -> Tensor:
    return (-gap_RV).exp_().sum(dim=1, keepdim=True)


class _Ranking:
    """Words from the likeliest down, sorted only as far as somebody looks.

    A histogram over the scores, each bin holding the mass of its words, tells in which bin a
    cumulative mass is reached; the words of that bin alone are sorted.
    """

    def __init__(self, gap_RV: Tensor, temperature: float) -> None:
        """Keep `gap_RV`: how far each score, as float64, lies below the best of its row."""
        self.mass_RV = (gap_RV / -temperature).exp_()
        bins = min(BINS, max(1, gap_RV.shape[1] // WORDS_PER_BIN))
        span_R1 = gap_RV.amax(dim=1, keepdim=True).clamp(min=1e-6, max=NATS * temperature)
        self.bin_RV = gap_RV.minimum(span_R1).mul_((bins - 1) / span_R1).long()
        mass_RB = gap_RV.new_zeros(len(gap_RV), bins)
        self.reached_RB = mass_RB.scatter_add_(1, self.bin_RV, self.mass_RV).cumsum(dim=1)
        self.whole_R1 = self.reached_RB[:, -1:]

    def reach(self, wanted_R1: Tensor, *, beyond: bool) -> tuple[Tensor, Tensor]:
        """Return the first word at which the cumulative mass reaches what is wanted, or goes
        `beyond` it, and that mass; shapes (R, 1)."""
        bin_R1 = torch.searchsorted(self.reached_RB, wanted_R1, right=beyond)
        word_RM, mass_RM = self._sorted(bin_R1)
        before_R1 = self.reached_RB.gather(1, (bin_R1 - 1).clamp(min=0)) * (bin_R1 > 0)
        reached_RM = before_R1 + mass_RM.cumsum(dim=1)
        place_R1 = torch.searchsorted(reached_RM, wanted_R1, right=beyond)
        last_R1 = (mass_RM > 0).sum(dim=1, keepdim=True) - 1
        place_R1 = torch.minimum(place_R1, last_R1)
        return word_RM.gather(1, place_R1), reached_RM.gather(1, place_R1)

    def _sorted(self, bin_R1: Tensor) -> tuple[Tensor, Tensor]:
        """Return the words of one bin of each row, and their masses; 0 where a row has fewer."""
        rows, words = (self.bin_RV == bin_R1).nonzero(as_tuple=True)
        count_R = rows.bincount(minlength=len(bin_R1))
        first_R = count_R.cumsum(dim=0) - count_R
        slots = torch.arange(len(rows), device=rows.device) - first_R[rows]
        mass_RM = self.mass_RV.new_zeros(len(bin_R1), int(count_R.max()))
        word_RM = torch.zeros_like(mass_RM, dtype=torch.long)
        mass_RM[rows, slots], word_RM[rows, slots] = self.mass_RV[rows, words], words
        mass_RM, order_RM = mass_RM.sort(dim=1, descending=True, stable=True)
        return word_RM.gather(1, order_RM), mass_RM
