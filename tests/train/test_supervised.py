"""The supervised warm-up: it teaches, is made once, is said, and learns from no target."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_eval.report.base_model import base_facts
from ttc_rl.config import EverydayConfig, Recipe, WarmupConfig
from ttc_rl.corpus.everyday import make_everyday
from ttc_rl.run_dir import read_json
from ttc_rl.schema import UserError
from ttc_rl.stages import job as job_module
from ttc_rl.stages.job import starting_model
from ttc_rl.train.methods import supervised
from ttc_rl.train.methods.supervised import Reply, warmed_up, warmup_of

FAMILIES = ["largest", "smallest"]
CONFIG = WarmupConfig(tasks=32, epochs=6, learning_rate=3e-3)
REPLIES = [
    Reply(task, task.meta["solution"])
    for task in make_everyday(
        EverydayConfig(families=FAMILIES, split="warmup", tasks_per_family=16)
    )
]
RANDOM = {"skills": None, "hidden": 32, "layers": 1, "mlp": 64}


def recipe(**changes: object) -> Recipe:
    tree = {
        "model": {"pretrain": RANDOM},
        "corpus": [{"everyday": {"families": FAMILIES, "tasks_per_family": 8}}],
        "target": {"everyday": {"families": FAMILIES, "tasks_per_family": 8, "split": "test"}},
    }
    return Recipe.model_validate(tree | changes)


@pytest.fixture(scope="module")
def base(cache: Path) -> Path:
    return Path(starting_model(recipe()))


@pytest.fixture(scope="module")
def warm(base: Path) -> Path:
    return warmed_up(base, REPLIES, CONFIG, 0, {}, dtype=None)


def test_the_loss_falls_and_what_it_took_is_counted(base: Path, warm: Path):
    about = warmup_of(warm)
    assert about is not None
    losses = [entry["loss"] for entry in about["log"]]
    assert losses[-1] < 0.8 * losses[0]
    model = AutoModelForCausalLM.from_pretrained(warm)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokens = 6 * sum(
        len(supervised.labelled_row(reply, {}, tokenizer)["input_ids"]) for reply in REPLIES
    )
    assert about["compute"]["backpropagated_tokens"] == tokens
    assert about["compute"]["flops"] == 6 * tokens * sum(p.numel() for p in model.parameters())
    (sentence,) = base_facts({"base": {"warmup": about}})
    assert "32 labelled tasks" in sentence


def test_only_the_reply_and_its_end_count(base: Path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    row = supervised.labelled_row(REPLIES[0], {}, tokenizer)
    learned = [token for token in row["labels"] if token != -100]
    assert learned[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(learned[:-1]) == REPLIES[0].text
    assert row["input_ids"][-len(learned) :] == learned


def test_it_is_made_once(base: Path, warm: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]):
    monkeypatch.setattr(supervised, "_train", lambda *_: pytest.fail("made again"))
    said.clear()
    assert warmed_up(base, REPLIES, CONFIG, 0, {}, dtype=None) == warm
    assert "cached" in said[0]


@pytest.mark.parametrize("what", ["seed", "tasks", "dtype", "rate"])
def test_whatever_changes_it_makes_another(base: Path, what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervised, "made_once", lambda folder, *_: folder)
    plain = warmed_up(base, REPLIES, CONFIG, 0, {}, dtype=None)
    other = warmed_up(
        base,
        REPLIES[1:] if what == "tasks" else REPLIES,
        CONFIG.model_copy(update={"learning_rate": 1e-3}) if what == "rate" else CONFIG,
        1 if what == "seed" else 0,
        {},
        dtype="bfloat16" if what == "dtype" else None,
    )
    assert other != plain


def test_bfloat16_leaves_float32_weights(base: Path):
    brief = CONFIG.model_copy(update={"epochs": 1})
    folder = warmed_up(base, REPLIES[:8], brief, 0, {}, dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_it_learns_from_no_target():
    """A source that holds the targets loses them."""
    source = {"everyday": {"families": FAMILIES, "tasks_per_family": 8, "split": "test"}}
    more = {"everyday": {"families": ["product"], "tasks_per_family": 8, "split": "warmup"}}
    model = {"pretrain": RANDOM, "warmup": {}}
    made = recipe(model=model, corpus=[source, more])
    replies = job_module._warmup_replies(made)
    assert {reply.task.meta["family"] for reply in replies} == {"product"}


def test_its_tasks_are_read_once(monkeypatch: pytest.MonkeyPatch):
    read = list[Recipe]()
    monkeypatch.setattr(job_module, "_warmed", {})
    monkeypatch.setattr(job_module, "_unwarmed", lambda made: Path("base"))
    monkeypatch.setattr(job_module, "_warmup_replies", lambda made: read.append(made) or [])
    monkeypatch.setattr(supervised, "warmed_up", lambda base, *_, **__: base / str(len(read)))
    model = {"pretrain": RANDOM, "warmup": {}}
    folders = [starting_model(recipe(model=model)) for _ in range(3)]
    assert folders == [Path("base/1")] * 3
    assert starting_model(recipe(model=model, seed=7)) == Path("base/2")


def test_ranks_do_not_make_it_together(base: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervised, "world", lambda: 2)
    with pytest.raises(UserError, match="made by one process; `ttc-rl select RECIPE` does it"):
        warmed_up(base, REPLIES[:3], CONFIG, 0, {}, dtype=None)


def test_where_the_weights_are_from_goes_along(base: Path, tmp_path: Path):
    origin = {"model": "org/m", "note": "4-bit weights of package p, not the hub's"}
    origin |= {"file": "m.gguf", "version": "1.0"}
    (sentence,) = base_facts({"base": {"origin": origin}})
    assert sentence == "org/m: 4-bit weights of package p, not the hub's (m.gguf, 1.0)."
    assert list(base_facts({})) == []
    assert read_json(Path(base) / "pretrain.json")
