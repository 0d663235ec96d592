"""The records that cross a border between rooms. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Status = Literal["ok", "no_answer", "timeout", "oom", "crash", "infra_error"]
FinishReason = Literal["stop", "length", "prompt_too_long"]
"""`prompt_too_long`: nothing was written, because the prompt alone fills the model's context."""


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, and what to do."""


FULL_DISK = "the disk is full; free some space, then --resume goes on"


def is_full_disk(error: BaseException) -> bool:
    """Tell by the words of the system, safetensors, torch and numpy: they share no type for it."""
    signs = ("No space left on device", "Disk quota exceeded", "failed writing file")
    torch_signs = ("inline_container", "unexpected pos")  # a zip file that ends too early
    numpy_signs = (" requested and ", " written")
    message = str(error)
    return (
        any(words in message for words in signs)
        or all(words in message for words in torch_signs)
        or all(words in message for words in numpy_signs)
    )


BEFORE = ("system", "turns")
"""Keys of a task's `meta` that the model reads before its prompt: a text, and turns of a chat."""


@dataclass(frozen=True, slots=True)
class Task:
    """One verifiable problem.

    `gold` is the reference answer (`math`, `exact`, `choice`, `judge`), `tests` the checks of a
    `code` task. `id` is a hash of kind, prompt, gold and tests, and of the turns before the prompt
    (`meta.system`, `meta.turns`), so equal tasks have equal ids.
    """

    kind: str
    prompt: str
    gold: str | None = None
    tests: tuple[Mapping[str, Any], ...] = ()
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            content: list[Any] = [self.kind, self.prompt, self.gold, self.tests]
            before = [self.meta[key] for key in BEFORE if self.meta.get(key)]
            content += [before] if before else []
            object.__setattr__(self, "id", content_hash(content))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found. `correct is None` means undecided, which is not the same as wrong."""

    correct: bool | None
    answer: str | None = None
    """What was read from the completion; None when nothing could be read."""
    reason: str = ""
    status: Status = "ok"
    share: float | None = None
    """How much is right, from 0 to 1: of a program's tests, those passed before the first that
    failed; of a user's kind, what its verifier says. None for other kinds."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One task of a curriculum, in the order chosen."""

    index: int
    """Row in the corpus after overlap removal."""
    task_id: str
    rank: int
    gain: float
    """What the selector maximised: for SIFT the drop of the summed target variance."""
    uncertainty: float
    """Summed posterior variance of all targets after this pick."""
    nearest_target: int
    """Row of the target with the highest cosine similarity."""
    similarity: float


@dataclass(frozen=True, slots=True)
class Completion:
    """What a policy wrote after a prompt."""

    text: str
    finish_reason: FinishReason
    tokens: int
    prompt_tokens: int = 0
    """Of what the policy read, chat template included."""
    confidence: float | None = None
    """Geometric mean of the tokens' probabilities under the model, None where the engine does not
    tell: what weighs a vote, or picks one of n, without the gold."""

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion with its verdict and the reward the optimiser saw."""

    task_id: str
    completion: str
    finish_reason: FinishReason
    tokens: int
    verdict: Verdict
    reward: float | None


class Completer(Protocol):
    """Anything that turns tasks into completions: a model here, an engine, an endpoint, a fake.

    Returns samples `first` to `first + num_samples - 1` of each task, in the order of `tasks`. What
    sample i of a task is depends on `sample_seed(seed, task.id, i)`, not on what is drawn beside
    it, but for the rounding of other batch shapes. Temperature 0 is greedy. Raises `Undrawn` where
    some could not be had.
    """

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]: ...


class Undrawn(UserError):
    """Some completions could not be had; `groups` holds the others, None where one is lacking."""

    def __init__(self, message: str, groups: list[list[Completion | None]]) -> None:
        super().__init__(message)
        self.groups = groups


def whole_text(text: str) -> str:
    """Replace halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def sample_seed(seed: int, task_id: str, sample: int) -> int:
    """Return the seed of one completion; consecutive for the samples of a task, as vLLM counts
    them."""
    return (int(content_hash([seed, task_id], length=8), 16) + sample) % 2**31


def content_hash(value: Any, length: int = 16) -> str:
    """Return the hex digest of a JSON-able value, the same on every machine and in every
    session."""
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=dict
    )
    return hashlib.sha256(text.encode()).hexdigest()[:length]
