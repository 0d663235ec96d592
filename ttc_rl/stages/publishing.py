"""A trained model, or its adapter, to the Hugging Face Hub: weights, tokenizer, card and recipe.

Only the top of model/ or adapter/ goes up. What was rolled out, asked or answered lies elsewhere in
a run folder, and files of such kinds are left out even where somebody put them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ttc_eval.records import read_summary
from ttc_eval.report.model_card import RECIPE, write_cards
from ttc_rl.config import Recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.run_dir import ArmDir, RunDir
from ttc_rl.schema import UserError

KEPT_HERE = ["*/*", "training_args.bin", "*.jsonl", "*.jsonl.gz", "*.parquet", "*.part"]
"""training_args.bin is a pickle with paths of this machine."""


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
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import (
        HTTPError,  # httpx's or httpx2's  # pyright: ignore[reportPrivateImportUsage]
        OfflineModeIsEnabled,
    )

    if get_token() is None:
        raise UserError("push: not logged in to the Hub; `hf auth login` or HF_TOKEN first")
    api = HfApi()
    try:
        full = api.create_repo(repo, private=private or None, exist_ok=True, repo_type=kind).repo_id
        if private and not api.repo_info(full, repo_type=kind).private:
            raise UserError(
                f"push: {full} exists and is public, which --private does not change; make it "
                "private in its settings, or name another"
            )
        sent = api.upload_folder(
            repo_id=full,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=ignore,
            commit_message=message,
        )
    except (HTTPError, OfflineModeIsEnabled, ValueError) as error:
        raise UserError(f"push: the Hub refuses {repo}: {' '.join(str(error).split())}") from None
    return str(sent.commit_url)


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
