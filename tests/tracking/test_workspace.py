"""The W&B workspace: what its panels name is logged, and what is sent holds them."""

import inspect
import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from http_reply import JsonHandler
from trl.trainer import grpo_trainer
from typer.testing import CliRunner
from wandb_records import logged

from ttc_rl.cli.app import app
from ttc_rl.config import Recipe, load_recipe
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import RunDir, read_json
from ttc_rl.schema import UserError
from ttc_rl.stages.evaluating import metric_names
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train
from ttc_rl.tracking.wandb_run import log_results, tracked
from ttc_rl.tracking.workspace import CLIPPED, save_workspace, shown
from ttc_rl.train.methods import grpo_reward as ledger

TINY = Path(__file__).parents[1] / "tiny.yaml"
FOLLOWING = Path(__file__).parents[1] / "train" / "curriculum" / "following.yaml"
METHODS = ["achievable", "beta", "discover", "difficulty"]
RESULTS = {"count": ["avg@4", "pass@4"]}
CUDA_ONLY = {"train/memory/peak_gb"}
pytestmark = pytest.mark.filterwarnings("ignore")  # wandb's own


def named(recipe: Recipe, results: dict[str, list[str]] | None = None) -> set[str]:
    panels = [panel for panels in shown(recipe, results or {}).values() for panel in panels]
    return {name for one in panels for name in (*one.names, *([one.x] if one.x else []))}


def test_every_panel_shows_what_a_run_logs(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    dev = "train.dev={every: 4, tasks: 4, samples: 1}"
    asked = ["track.wandb=true", "arms.beta=null", "train.epochs=1", "train.trl.beta=0.01", dev]
    recipe = load_recipe(FOLLOWING, asked)
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(made)
    train(made)
    folder = made.arm("discover")[1].root
    with tracked(recipe, folder):
        numbers = Estimate(0.5, 0.4, 0.6)
        log_results({"count": dict.fromkeys(RESULTS["count"], numbers)})
    names = named(recipe, RESULTS)
    assert names - logged(folder) == CUDA_ONLY
    assert '"memory/peak_gb"' in inspect.getsource(ledger)
    assert {"guard/dropped", "curriculum/relevance", "kl"} <= {
        name.removeprefix("train/") for name in names
    }
    assert "eval/dev/avg@1" in names


@pytest.mark.parametrize("loss", list(CLIPPED))
def test_what_trl_logs_only_with_vllm_or_another_loss_is_named_as_trl_does(loss: str):
    asked = ["train.vllm={mode: colocate}", f"train.trl.loss_type={loss}"]
    more = named(load_recipe(TINY, asked)) - named(load_recipe(TINY, ["train.trl.loss_type=sapo"]))
    assert len(more) == 5 + len(CLIPPED[loss])
    source = inspect.getsource(grpo_trainer)
    for name in more:
        assert f'self._metrics[mode]["{name.removeprefix("train/")}"]' in source


def test_the_losses_that_clip_are_those_of_trl():
    source = inspect.getsource(grpo_trainer)
    alike = [loss for loss in CLIPPED if "clip_ratio/low_mean" in CLIPPED[loss]]
    listed = ", ".join(f'"{loss}"' for loss in alike)
    assert f"if self.loss_type in [{listed}]:" in source


@pytest.mark.parametrize("method", METHODS)
def test_every_curriculum_tells_what_its_panels_show(method: str):
    from train.curriculum.test_curricula import made

    recipe = load_recipe(TINY, [f"train.curriculum.method={method}"])
    names = {n for n in named(recipe) if n.startswith("train/curriculum/")}
    rates = {f"train/curriculum/{one}_rate" for one in ("no_answer", "timeout", "infra_error")}
    told = {f"train/curriculum/{name}" for name in (*made(method).metrics(), "flat")}
    assert names == told | rates


def test_results_are_named_as_an_evaluation_names_them(undisturbed: Path):
    run = RunDir(undisturbed)
    found = metric_names(run.load_recipe())
    assert found == {"count": ["avg@4", "pass@4", "maj@4"]}
    assert set(found["count"]) <= read_json(run.result("count", "base"))["metrics"].keys()


def test_a_panel_that_a_recipe_leaves_empty_is_not_shown():
    names = named(load_recipe(TINY))
    assert not [n for n in names if "guard" in n or "sampling" in n or "dev" in n or "kl" in n]
    assert "Evaluation" not in shown(load_recipe(TINY), {})
    assert "train/majority/labelled" in named(load_recipe(TINY, ["train.majority=[0.2, 0.9]"]))


# --------------------------------------------------------------------------- what is sent


class Wandb(ThreadingHTTPServer):
    """Answers who is logged in, and keeps the views saved."""

    def __init__(self) -> None:
        self.views: list[Any] = []
        self.refuses = False
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(JsonHandler):
    server: Wandb

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        body = json.loads(raw) if self.path == "/graphql" else {"query": ""}
        reply: Any = {"data": {"viewer": {"id": "u", "entity": "me", "username": "me"}}}
        if "upsertView" in body["query"]:
            self.server.views.append(body["variables"])
            saved = {"view": {"id": "v", "name": body["variables"]["name"]}, "inserted": True}
            reply = {"data": {"upsertView": saved}}
            if self.server.refuses:
                reply = {"errors": [{"message": "permission denied", "path": ["upsertView"]}]}
        self.reply(reply)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wandb]:
    with Wandb() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_SILENT", "true")
        anew()
        yield server
        server.shutdown()
    anew()


def anew() -> None:
    """W&B reads its settings once a process."""
    import wandb

    wandb.teardown()


def test_what_is_sent_has_a_section_for_each_question(server: Wandb):
    recipe = load_recipe(TINY, ["train.dev={every: 4, tasks: 4, samples: 2}"])
    address = save_workspace(recipe, "me", RESULTS)
    assert address.startswith(f"http://127.0.0.1:{server.server_port}/me/ttc-rl?nw=")
    (view,) = server.views
    assert (view["entityName"], view["projectName"]) == ("me", "ttc-rl")
    sections = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    expected = ["Reward", "Curriculum", "Evaluation", "Health", "Time and memory", "Tokens"]
    assert [section["name"] for section in sections] == expected
    panels = [panel["config"] for section in sections for panel in section["panels"]]
    sent = {name for panel in panels for name in [*panel["metrics"], panel.get("xAxis")] if name}
    assert {name.removeprefix("summary:") for name in sent} == named(recipe, RESULTS)


def test_a_refusal_is_one_line(server: Wandb):
    server.refuses = True
    with pytest.raises(UserError, match=r"W&B does not save it in me/ttc-rl: .*permission denied"):
        save_workspace(load_recipe(TINY), "me", {})


def test_without_a_login_nothing_is_sent(
    server: Wandb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    anew()
    result = CliRunner().invoke(app, ["workspace", str(TINY), "--entity", "me"])
    assert isinstance(result.exception, UserError)
    assert "not logged in to W&B" in str(result.exception)
    assert server.views == []
