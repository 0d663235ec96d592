"""A trained model, or its adapter, to the Hugging Face Hub: weights, tokenizer, card and recipe;
and, while training goes on, the weights of each checkpoint.

Only the top of model/ or adapter/ goes up. What was rolled out, asked or answered lies elsewhere in
a run folder, and files of such kinds are left out even where somebody put them there.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ttc_eval.records import read_summary
from ttc_eval.report.model_card import RECIPE, write_cards
from ttc_rl.config import HubConfig, Recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.run_dir import ArmDir, RunDir
from ttc_rl.schema import UserError
from ttc_rl.system.ranks import is_main

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

KEPT_HERE = ["*/*", "training_args.bin", "*.jsonl", "*.jsonl.gz", "*.parquet", "*.part"]
"""training_args.bin is a pickle with paths of this machine."""
OF_CHECKPOINTS = [
    "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "config.json",
    "generation_config.json", "adapter_config.json", "token*", "special_tokens_map.json", "vocab*",
    "merges.txt", "chat_template*",
]  # fmt: skip
"""Files of a checkpoint that are sent: what a model is loaded from, no state of the training."""
TEACHER = "teacher.safetensors"
"""Of a checkpoint of SDPO: a second model, for training alone."""


def push(
    run: RunDir, repo: str, *, arm: str | None = None, adapter: bool = False, private: bool = False
) -> str:
    """Upload an arm's model; the address of the commit.

    Raises UserError where there is no such model, no login, or the Hub says no.
    """
    recipe = run.load_recipe()
    name = _chosen(run, recipe, arm)
    folder = _folder_to_send(run.arm(name, recipe), name, adapter)
    if not (folder / RECIPE).exists():  # of a run made before there were cards
        write_cards(run, recipe, name, read_summary(run.summary) if run.summary.exists() else None)
    return upload(
        folder,
        repo,
        private=private,
        message=f"{folder.name} of arm {name}, trained by ttc-rl",
        ignore=KEPT_HERE,
    )


def upload(
    folder: Path,
    repo: str,
    *,
    message: str,
    kind: Literal["dataset"] | None = None,
    private: bool = False,
    ignore: list[str] | None = None,
) -> str:
    """Upload a folder to the Hub, as a model or a data set; return the address of the commit.

    Raises UserError where there is no login, or the Hub says no.
    """
    full = _opened(repo, private, kind)
    with _hub_says(repo) as api:
        sent = api.upload_folder(
            repo_id=full,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=ignore,
            commit_message=message,
        )
    return str(sent.commit_url)


def _opened(
    repo: str, private: bool, kind: Literal["dataset"] | None = None, where: str = "push"
) -> str:
    """Make a repository where it is not there; return its full name."""
    with _hub_says(repo, where) as api:
        full = api.create_repo(repo, private=private or None, exist_ok=True, repo_type=kind).repo_id
        if private and not api.repo_info(full, repo_type=kind).private:
            raise UserError(
                f"{where}: {full} exists and is public, which asking for a private one does not "
                "change; make it private in its settings, or name another"
            )
    return full


@contextmanager
def _hub_says(repo: str, where: str = "push") -> Iterator[HfApi]:
    """Yield the Hub. Raises UserError where there is no login, or it says no."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import (
        HTTPError,  # httpx's or httpx2's  # pyright: ignore[reportPrivateImportUsage]
        OfflineModeIsEnabled,
    )

    if get_token() is None:
        raise UserError(f"{where}: not logged in to the Hub; `hf auth login` or HF_TOKEN first")
    try:
        yield HfApi()
    except (HTTPError, OfflineModeIsEnabled, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: the Hub refuses {repo}: {reason}") from None


# --------------------------------------------------------------------------- checkpoints


class Checkpoints:
    """Each checkpoint of an arm as a revision `ARM-step-N`, sent by a thread during training.

    An upload that fails is one line, and does not end the training.
    """

    def __init__(self, hub: HubConfig, arm: str, beside: Path) -> None:
        """Make the repository. Raises UserError where there is no login, or the Hub says no.

        `beside` is a folder on the file system of the checkpoints, for what is being sent."""
        self.repo = _opened(hub.repo, hub.private, where="track.hub")
        self.name, self.beside = arm.replace("/", "-"), beside
        for old in beside.glob(f"{self.name}-step-*.part"):  # of a training that was killed
            shutil.rmtree(old)
        self.thread = ThreadPoolExecutor(1)

    def __call__(self, checkpoint: Path, step: int) -> None:
        """Send a checkpoint later. Its files are linked now: the trainer deletes old ones."""
        revision = f"{self.name}-step-{step}"
        folder = self.beside / f"{revision}.part"
        shutil.copytree(checkpoint, folder, copy_function=_linked)
        self.thread.submit(self._send, folder, revision)

    def _send(self, folder: Path, revision: str) -> None:
        try:
            with _hub_says(self.repo, "track.hub") as api:
                api.create_branch(self.repo, branch=revision, exist_ok=True)
                api.upload_folder(
                    repo_id=self.repo,
                    revision=revision,
                    folder_path=folder,
                    allow_patterns=OF_CHECKPOINTS,
                    ignore_patterns=["*/*", TEACHER],
                    commit_message=f"{revision.replace('-', ' ')}, by ttc-rl",
                )
        except UserError as error:
            logger.warning(f"{error}; {revision} is not there, training goes on")
        else:
            logger.info(f"track.hub: {self.repo} has revision {revision}")
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        """Wait for what is being sent."""
        self.thread.shutdown()


def _linked(source: str, copy: str) -> None:
    """Link a file; copy it where the file system has no links."""
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy(source, copy)


@contextmanager
def checkpoints_sent(
    hub: HubConfig | None, arm: str, folder: ArmDir
) -> Iterator[Checkpoints | None]:
    """Yield what an arm's checkpoints are given to; None where nobody asks for it, and on the other
    ranks."""
    if hub is None or not is_main():
        yield None
        return
    with closing(Checkpoints(hub, arm, folder.root)) as sending:
        yield sending


def _chosen(run: RunDir, recipe: Recipe, arm: str | None) -> str:
    names = list(dict.fromkeys([*recipe.arm_names, *run.parts(recipe)]))
    if arm is None and len(names) == 1:
        return names[0]
    if arm not in names:
        problem = (
            "which arm? --arm" if arm is None else f"no arm {arm!r}{did_you_mean(arm, names)};"
        )
        raise UserError(f"push: {problem} one of {', '.join(names)}")
    return arm


def _folder_to_send(folder: ArmDir, name: str, adapter: bool) -> Path:
    if "/" in name and not adapter:
        raise UserError(f"push: {name} is an expert; --adapter sends what it trained")
    if "/" not in name and not folder.model.exists():
        raise UserError(f"push: {name} has no model yet; `ttc-rl train` makes it")
    if adapter and not folder.adapter.exists():
        raise UserError(f"push: {name} has no adapter: it was trained without one")
    return folder.adapter if adapter else folder.model
