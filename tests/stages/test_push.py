"""Uploads to a stub of the Hub, over HTTP: what is sent, and what never is."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from formats import FOLDER
from http_reply import JsonHandler
from huggingface_hub import DatasetCard, ModelCard

from ttc_rl.config import load_recipe
from ttc_rl.corpus.sources import load_tasks
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.publishing import push

TINY = Path(__file__).parents[1] / "tiny.yaml"


class Hub(ThreadingHTTPServer):
    """Takes every file as a regular one, in one commit."""

    def __init__(self) -> None:
        self.created: list[Any] = []
        self.files: dict[str, bytes] = {}
        self.branches: list[str] = []
        self.commits: dict[str, list[str]] = {}
        """Revision -> the files that were sent to it."""
        self.refused = ""
        """A revision whose commits the Hub refuses."""
        self.private = False
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(JsonHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self.server.created.append(asked)
            name = f"{asked['organization'] or 'me'}/{asked['name']}"
            self._reply({"url": f"{self.server.url}/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._reply({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            found = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]
            self._reply({"files": found})
        elif "/branch/" in self.path:
            self.server.branches.append(self.path.rpartition("/")[2])
            self._reply({})
        elif "/commit/" in self.path and self.path.endswith(self.server.refused or "?"):
            self._reply({"error": "no room"}, 413)
        elif "/commit/" in self.path:
            sent = self.server.commits.setdefault(self.path.rpartition("/")[2], [])
            sent += [json.loads(x)["value"].get("path") for x in body.splitlines()]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            self._reply({"commitUrl": f"{self.server.url}/me/it/commit/1", "commitOid": "1"})
        else:
            self._reply({"error": f"unknown {self.path}"}, 404)

    def do_GET(self) -> None:
        self._reply({"id": "me/it", "private": self.server.private, "sha": "1"})

    def _body(self) -> bytes:
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _reply(self, reply: Any, status: int = 200) -> None:
        self.reply(reply, max(status, self.server.status))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def told(
    hub: Hub, tmp_path: Path, *arguments: str, token: str = "hf_0", name: str = "push"
) -> tuple[int, str]:
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": token,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "hf"),
    }
    command = [sys.executable, "-m", "ttc_rl", name, *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_model_goes_up_with_its_card_and_recipe_and_nothing_else(
    undisturbed: Path, tmp_path: Path, hub: Hub
):
    run = RunDir(tmp_path / "run")
    shutil.copytree(undisturbed, run.root)
    recipe = run.load_recipe()
    folder = run.arm("sift", recipe)
    shutil.copy(next(folder.rollouts.glob("*.parquet")), folder.model)
    shutil.copy(run.samples("count", "sift"), folder.model)
    shutil.copytree(folder.rollouts, folder.model / "rollouts")
    code, output = told(hub, tmp_path, str(run.root), "me/it", "--arm", "sift")
    assert (code, output.count("\n")) == (0, 1), output
    assert f"{hub.url}/me/it/commit/1" in output
    assert hub.created == [{"name": "it", "organization": "me"}]
    weights = {"config.json", "generation_config.json", "model.safetensors"}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert hub.files.keys() == weights | tokenizer | {"README.md", "recipe.yaml"}
    assert hub.files["model.safetensors"] == (folder.model / "model.safetensors").read_bytes()
    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.model_name == "undisturbed-sift"
    assert len(card.data.eval_results) == 4
    (tmp_path / "recipe.yaml").write_bytes(hub.files["recipe.yaml"])
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    sent = b"".join(c for name, c in hub.files.items() if name not in ("model.safetensors",))
    for target in read_json(folder.selection)["targets"]:
        assert target["prompt"].encode() not in sent
    for row in read_jsonl(run.samples("count", "sift")):
        assert row["task_id"].encode() not in sent


def test_an_adapter_of_a_run_without_cards_gets_one(undisturbed: Path, tmp_path: Path, hub: Hub):
    run = RunDir(tmp_path / "run")
    shutil.copytree(undisturbed, run.root)
    folder = run.arm("sift", run.load_recipe())
    folder.adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "training_args.bin"):
        (folder.adapter / name).write_text(name)
    (folder.adapter / "README.md").write_text("# Model Card for Model ID\n")
    code, output = told(hub, tmp_path, str(run.root), "me/it", "--arm", "sift", "--adapter")
    assert code == 0, output
    ours = {"adapter_config.json", "adapter_model.safetensors", "README.md", "recipe.yaml"}
    assert hub.files.keys() == ours
    assert ModelCard(hub.files["README.md"].decode()).data.library_name == "peft"


def test_private_is_asked_for_and_a_public_one_is_refused(
    undisturbed: Path, tmp_path: Path, hub: Hub
):
    asked = (str(undisturbed), "it", "--arm", "random", "--private")
    code, output = told(hub, tmp_path, *asked)
    assert (code, hub.files) == (2, {})
    assert "me/it exists and is public" in output
    hub.private = True
    assert told(hub, tmp_path, *asked)[0] == 0
    assert hub.created[-1] == {"name": "it", "organization": None, "visibility": "private"}
    assert "README.md" in hub.files


def test_without_a_token_or_with_a_refused_one_it_is_one_line(
    undisturbed: Path, tmp_path: Path, hub: Hub
):
    asked = (str(undisturbed), "me/it", "--arm", "sift")
    code, output = told(hub, tmp_path, *asked, token="")
    assert (code, output.count("\n"), hub.created) == (2, 1, [])
    assert "push: not logged in to the Hub; `hf auth login` or HF_TOKEN first" in output
    hub.status = 403
    code, output = told(hub, tmp_path, *asked)
    assert (code, output.count("\n"), hub.files) == (2, 1, {})
    assert "push: the Hub refuses me/it: 403" in output


def test_what_is_not_there_is_not_pushed(undisturbed: Path, tmp_path: Path):
    run = RunDir(undisturbed)
    with pytest.raises(UserError, match=r"which arm\? --arm one of random, sift"):
        push(run, "me/it")
    with pytest.raises(UserError, match=r"no arm 'shift'; did you mean sift\?"):
        push(run, "me/it", arm="shift")
    with pytest.raises(UserError, match="sift has no adapter"):
        push(run, "me/it", arm="sift", adapter=True)
    untrained = RunDir.open(tmp_path / "run", run.load_recipe())
    with pytest.raises(UserError, match="sift has no model yet"):
        push(untrained, "me/it", arm="sift")


def trained(hub: Hub, tmp_path: Path, cache: Path, *keys: str, token: str = "hf_0"):
    """Select and train, with a small model and a checkpoint each second step."""
    asked = [
        str(TINY), "model={pretrain: {layers: 1, max_steps: 0}}", "arms.random=null",
        "train.epochs=1", "train.save_steps=2", "track.hub.repo=me/it", *keys,
    ]  # fmt: skip
    run = ["--run-dir", str(tmp_path / "run")]
    assert told(hub, tmp_path, *asked, *run, name="select", token=token)[0] == 0
    return told(hub, tmp_path, *asked, *run, name="train", token=token)


def test_each_checkpoint_goes_up_as_a_revision_while_training_goes_on(
    tmp_path: Path, cache: Path, hub: Hub
):
    hub.private, hub.refused = True, "sift-step-2"
    code, output = trained(hub, tmp_path, cache)
    assert code == 0, output
    assert hub.created == [{"name": "it", "organization": "me", "visibility": "private"}]
    assert hub.branches == ["sift-step-2", "sift-step-4"]
    assert hub.commits.keys() == {"sift-step-4"}
    assert set(filter(None, hub.commits["sift-step-4"])) == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert "track.hub: me/it has revision sift-step-4" in output
    assert output.count("sift-step-2 is not there, training goes on") == 1
    assert not list((tmp_path / "run").rglob("*.part"))
    model = tmp_path / "run" / "arms" / "sift" / "model" / "model.safetensors"
    assert hub.files["model.safetensors"] == model.read_bytes()  # of the last step


def test_checkpoints_for_a_public_repository_or_without_a_login_are_refused_before_training(
    tmp_path: Path, cache: Path, hub: Hub
):
    code, output = trained(hub, tmp_path, cache)
    assert (code, hub.branches) == (2, [])
    assert "track.hub: me/it exists and is public" in output
    code, output = trained(hub, tmp_path / "other", cache, token="")
    assert (code, hub.branches) == (2, [])
    assert "track.hub: not logged in to the Hub" in output


def test_a_cleaned_corpus_goes_up_as_a_data_set_with_a_card(tmp_path: Path, hub: Hub):
    source = FOLDER / "gsm8k.jsonl"
    code, output = told(hub, tmp_path, str(source), "--out", "hub:me/it", name="corpus")
    assert code == 0, output
    assert f"written: {hub.url}/me/it/commit/1" in output
    assert hub.created == [{"name": "it", "organization": "me", "type": "dataset"}]
    assert hub.files.keys() == {"README.md", "tasks.jsonl"}
    (tmp_path / "back.jsonl").write_bytes(hub.files["tasks.jsonl"])
    before, back = load_tasks(str(source)), load_tasks(str(tmp_path / "back.jsonl"))
    assert [task.id for task in back] == [task.id for task in before]
    card = DatasetCard(hub.files["README.md"].decode())
    assert card.data.tags == ["ttc-rl"]
    assert "| math | gsm8k | 2 |" in card.text
