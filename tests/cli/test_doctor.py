"""What `ttc-rl doctor` finds: programs really run in each sandbox, a model really draws."""

import importlib.util
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from transformers import AutoTokenizer

from ttc_rl.cli import before
from ttc_rl.config import PretrainConfig
from ttc_rl.launch import doctor, doctor_model
from ttc_rl.launch.doctor_model import model_findings
from ttc_rl.system.install import install
from ttc_rl.train.tiny_model import base_model

SMALL = PretrainConfig(hidden=16, layers=1, mlp=16, skills=None, max_steps=0)


def test_every_sandbox_is_tried_and_one_that_does_not_work_comes_with_a_fix():
    found = {one.what: one for one in doctor.findings()}
    sandboxes = [one for what, one in found.items() if what.startswith("sandbox: ")]
    assert len(sandboxes) == 3
    assert all(one.fix for one in sandboxes if not one.works)
    assert found["trl"].works is True


def test_a_missing_extra_is_not_broken_but_says_how_to_get_it():
    if importlib.util.find_spec("vllm"):
        pytest.skip("vLLM is installed")
    found = {one.what: one for one in doctor.findings()}
    assert (found["vllm"].works, found["vllm"].fix) == (None, install("vllm"))


@pytest.mark.parametrize(
    ("vllm", "works", "says"),
    [
        (None, None, "none is installed"),
        ("0.21.9", False, "0.21.9 is outside"),
        ("0.22.0", True, "0.22.0 is one of them"),
        ("0.31.0+cu129", True, "0.31.0+cu129 is one of them"),
        ("0.31.1", False, "0.31.1 is outside"),
    ],
)
def test_the_window_of_vllm_is_the_one_that_trl_checks(
    vllm: str | None, works: bool | None, says: str
):
    trl = version("trl")
    (pair,) = doctor._pairs({"trl": trl, "vllm": vllm, "torch": "2.13.0"})
    assert pair.works is works
    assert pair.seen == f"trl {trl} supports vllm 0.22.0 to 0.31.0; {says}"
    assert bool(pair.fix) is (works is False)


@pytest.fixture
def model(cache: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base_model(SMALL, 0, {}), tmp_path / "model")


def test_a_model_is_told_by_its_parts_and_by_a_completion(model: Path):
    found = {one.what: one for one in model_findings(str(model))}
    assert all(one.works for one in found.values())
    assert found["chat template"].seen == "none"
    assert found["a task as it reads it"].seen.startswith("'What is 17 + 25?\\n\\nThink it through")
    assert found["context"].seen.startswith("4,096 tokens")
    assert (found["end tokens"].seen, found["pad token"].seen) == ("'<end>' (1)", "'<pad>' (0)")
    size = sum(p.numel() for p in _weights(model).values())
    assert f"Qwen3ForCausalLM, {size:,} parameters" in found["architecture"].seen
    assert " tokens/s), loaded in " in found["32 tokens drawn"].seen


def _weights(model: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def test_what_a_model_makes_of_a_prompt_is_shown_as_it_stands(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "[bold]:smile:\x1b[31m{{ messages[0]['content'] }}[/red]"
    tokenizer.save_pretrained(model)
    before.doctor(str(model))
    shown = capsys.readouterr().out
    assert r"'[bold]:smile:\x1b[31mWhat is 17 + 25?\n\nThink" in shown


def test_without_a_pad_token_an_end_token_pads_and_what_does_not_fit_is_told(
    model: Path, monkeypatch: pytest.MonkeyPatch
):
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(model)
    monkeypatch.setattr(doctor_model, "memory_here", lambda: (100, "a small card"))
    found = {one.what: one for one in model_findings(str(model))}
    assert found["pad token"].seen == "none of its own; an end token stands in for it"
    assert found["weights"].works is False
    assert found["training all of them"].fix.startswith("train.lora")
    assert "32 tokens drawn" not in found


def test_a_broken_model_is_a_finding_with_a_fix_and_exit_code_1(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    (model / "model.safetensors").unlink()
    with pytest.raises(typer.Exit) as ended:
        before.doctor(str(model))
    assert ended.value.exit_code == 1
    assert "holds no weights" in capsys.readouterr().out
    for name in (str(model / "nowhere"), "nobody/nothing"):
        (one,) = model_findings(name)
        assert one.works is False
        assert one.fix


def test_weights_of_other_shapes_are_a_finding_too(model: Path):
    import json

    config = model / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 32}))
    *_, drawn = model_findings(str(model))
    assert drawn.works is False
