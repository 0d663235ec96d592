"""What we use of TRL is there, and a version that lacks some of it is told in one line."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from ttc_rl.schema import UserError
from ttc_rl.train.methods import trl_compat
from ttc_rl.train.methods.trl_compat import USES, check_trl, missing

TRAINER, CLIENT = "trainer/grpo_trainer.py", "generation/vllm_client.py"
CHANGES = [
    (TRAINER, "def _generate(self, prompts: list)", "def _generate(self, prompts: list, images)",
     "GRPOTrainer._generate takes (self, prompts, images), not (self, prompts)"),
    (TRAINER, "def _calculate_rewards(", "def _rewards(", "GRPOTrainer has no _calculate_rewards"),
    (TRAINER, ") = self._generate(prompts)", ") = self._rollout(prompts)",
     "GRPOTrainer._generate_and_score_completions does not call _generate"),
    (TRAINER, '"log_metric"', '"log"',
     "GRPOTrainer._calculate_rewards has no log_metric"),
    (TRAINER, "return prompt_ids, completion_ids, tool_mask, completions, ",
     "return prompt_ids, completion_ids, completions, tool_mask, ",
     "images, tool_images), completions not as number 3"),
    (TRAINER, "self.vllm_generation", "self.generator",
     "GRPOTrainer has no attribute vllm_generation"),
    (CLIENT, "generation_kwargs: dict", "extra_body: dict",
     "VLLMClient.generate takes no generation_kwargs"),
    (CLIENT, "class VLLMClient", "class Client", f"trl/{CLIENT} has no class VLLMClient"),
]  # fmt: skip


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources of the installed TRL that we use."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for file in {use.file for uses in USES.values() for use in uses}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(spec.submodule_search_locations[0]) / file, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize("method", USES)
def test_the_installed_trl_has_what_we_use(method: str):
    check_trl(method)


@pytest.mark.parametrize(("file", "was", "now", "says"), CHANGES)
def test_each_change_that_would_break_us_is_named(
    copied: Path, file: str, was: str, now: str, says: str
):
    text = (copied / file).read_text(encoding="utf-8")
    assert was in text
    (copied / file).write_text(text.replace(was, now), encoding="utf-8")
    assert any(problem.endswith(says) for problem in missing(copied, "grpo"))


def test_training_ends_in_one_line_on_a_trl_without_it(
    copied: Path, monkeypatch: pytest.MonkeyPatch
):
    (copied / CLIENT).unlink()
    monkeypatch.setattr(trl_compat, "_installed", lambda: copied)
    says = rf"trl 1\.\d+\.\d+: there is no trl/{CLIENT}; train.method grpo was written for another"
    with pytest.raises(UserError, match=says) as error:
        check_trl("grpo")
    assert "\n" not in str(error.value)
