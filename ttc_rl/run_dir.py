"""The run folder: which file holds what, and how files are written so that a kill leaves no half.

    NAME/recipe.yaml  versions.json  overlap.jsonl  overlap.json  summary.json  report.html
         pages/  figures/
         corpus.json  preflight.json  base/HOW.samples.jsonl
         duplicates.jsonl  features/
         curriculum.jsonl  selection.json  selection.md  contamination.jsonl
         dev.tasks.jsonl
         pool.jsonl  pool.npz  variants.jsonl
         metrics.jsonl  alarms.jsonl  dev.jsonl  dev/  rollouts/  checkpoints/  training.json
         model/  model/README.md  model/recipe.yaml  adapter/  tensorboard/
         trackio/  eval/BENCHMARK/MODEL.samples.jsonl  eval/BENCHMARK/MODEL.json
         eval/BENCHMARK/tasks.jsonl

The lines from curriculum.jsonl to model/, but for dev.tasks.jsonl, belong to an arm. A recipe with
several `arms:` keeps one such set for each, under arms/ARM/. README.md is the model's card. An arm
with `experts:` keeps a set for each of those, under experts/NAME/, with adapter/ or else
patch.safetensors in the place of model/; experts.json says whose targets are whose, mix.json how
they were weighed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock

from ttc_rl.config import Recipe, differences, dump_recipe, load_recipe
from ttc_rl.schema import FULL_DISK, UserError, is_full_disk
from ttc_rl.system import lock, tried

RESCORED = ".rescored"
"""Behind a model's name: what `ttc-rl score` made of its samples."""
NAMED = 5
"""Changed keys that a refused resume names."""
READ = {
    "recipe.yaml",
    *lock.DOES,
    "versions.json",
    "corpus.json",
    "overlap.jsonl",
    "overlap.json",
    "duplicates.jsonl",
    "dev.tasks.jsonl",
    "tasks.jsonl",
}
"""Names of files that a stage writes before its work: what was asked, and what was read for it."""
SEAL = "seal"
"""Last key of a sealed object: the hashes of all before it, and of other files."""
FIX = "restore it, or delete it and run the stage again that writes it"
SELECT_ANEW = "delete it and {}, and `ttc-rl select RECIPE --resume` makes both again"
"""What to do about a file that selection.json vouches for."""
RECORD_ANEW = "delete {} to take what is there"
QUEUE = ".queue"
"""Ends the name of a folder of shared work (`work_queue.py`): its plan.json is no result."""


@dataclass(frozen=True)
class ArmDir:
    """The files of one arm: what it selected, how it trained, the model it left."""

    root: Path

    @property
    def curriculum(self) -> Path:
        return self.root / "curriculum.jsonl"

    @property
    def selection(self) -> Path:
        return self.root / "selection.json"

    @property
    def unfinished(self) -> Path:
        """Return the file of the picks of a selection that has not ended."""
        return self.root / "selection.unfinished.json"

    @property
    def explanation(self) -> Path:
        return self.root / "selection.md"

    @property
    def contamination(self) -> Path:
        return self.root / "contamination.jsonl"

    @property
    def variants(self) -> Path:
        """Return the file of the variants of the targets that the model wrote; most arms have
        none."""
        return self.root / "variants.jsonl"

    @property
    def pool(self) -> Path:
        """Return the pool of a curriculum that follows the model; other arms have no such file."""
        return self.root / "pool.jsonl"

    @property
    def pool_vectors(self) -> Path:
        return self.root / "pool.npz"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def training(self) -> Path:
        """Return the file that says how many steps a finished training took, and vouches for its
        records."""
        return self.root / "training.json"

    @property
    def alarms(self) -> Path:
        """Return the file of the watchdog's alarms."""
        return self.root / "alarms.jsonl"

    @property
    def dev(self) -> Path:
        """Return the file with one line for each evaluation on the dev tasks."""
        return self.root / "dev.jsonl"

    def best(self, step: int) -> Path:
        """Return the folder of weights that an evaluation on the dev tasks found the best."""
        return self.root / "best" / f"step-{step:05d}"

    def dev_samples(self, step: int) -> Path:
        return self.root / "dev" / f"step-{step:05d}.samples.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.root / "rollouts"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def tensorboard(self) -> Path:
        """Return the folder of event files, where `train.trl.report_to` names TensorBoard."""
        return self.root / "tensorboard"

    @property
    def adapter(self) -> Path:
        """Return the folder of what `train.lora` or `train.svf` trained; `model` has it merged."""
        return self.root / "adapter"

    @property
    def patch(self) -> Path:
        """Return the file of what training changed, in bfloat16, for an expert without an
        adapter."""
        return self.root / "patch.safetensors"

    @property
    def experts(self) -> Path:
        """Return the file of an arm's experts: names, and the ids of their targets."""
        return self.root / "experts.json"

    @property
    def mix(self) -> Path:
        return self.root / "mix.json"

    @property
    def mixing(self) -> Path:
        """Return the folder of what each mixture wrote, while the best one is searched for."""
        return self.root / "mixing"

    def expert(self, name: str) -> ArmDir:
        return ArmDir(self.root / "experts" / name)


@dataclass(frozen=True)
class RunDir:
    root: Path

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def begun(self) -> bool:
        """Return whether any stage has left something that cost work or holds a result.

        A run that was refused leaves its recipe and what it had read, which are made again.
        """
        return self.recipe.exists() and any(
            path.is_file() and path.name not in READ for path in self.root.rglob("*")
        )

    @property
    def versions(self) -> Path:
        return self.root / "versions.json"

    @property
    def corpus(self) -> Path:
        """Return the file that says what the corpus was made of: a row a source."""
        return self.root / "corpus.json"

    @property
    def overlap(self) -> Path:
        return self.root / "overlap.jsonl"

    @property
    def duplicates(self) -> Path:
        return self.root / "duplicates.jsonl"

    @property
    def dev_tasks(self) -> Path:
        """Return the tasks of the dev evaluations: neither trained on nor tested on."""
        return self.root / "dev.tasks.jsonl"

    def base_samples(self, setting: str) -> Path:
        """Return the base model's completions, drawn before training; `setting` names how."""
        return self.root / "base" / f"{setting}.samples.jsonl"

    @property
    def features(self) -> Path:
        """Return the folder of sketched gradients and warm-up checkpoints."""
        return self.root / "features"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def pages(self) -> Path:
        """Return the folder of the pages that the report links to."""
        return self.root / "pages"

    @property
    def figures(self) -> Path:
        """Return the folder of the report's figures as files of their own."""
        return self.root / "figures"

    def arm(self, name: str, recipe: Recipe) -> ArmDir:
        """Return the folder of an arm, or of one of its experts (`ARM/EXPERT`)."""
        name, _, expert = name.partition("/")
        folder = ArmDir(self.root / "arms" / name if recipe.arms else self.root)
        return folder.expert(expert) if expert else folder

    def parts(self, recipe: Recipe) -> list[str]:
        """Return the names of what is selected for separately, and mostly trained: every arm that
        has a curriculum, or each expert of one."""
        arms = [arm for arm in recipe.arm_names if recipe.arm(arm).policy.selects]
        return [part for arm in arms for part in self.parts_of(arm, recipe)]

    def parts_of(self, arm: str, recipe: Recipe) -> list[str]:
        """Return the experts of an arm as ARM/EXPERT; the arm itself where it has none, or none
        yet."""
        experts = self.arm(arm, recipe).experts
        if recipe.arm(arm).experts is None or not experts.exists():
            return [arm]
        return [f"{arm}/{expert['name']}" for expert in read_experts(experts)]

    def samples(self, benchmark: str, model: str) -> Path:
        return self.root / "eval" / benchmark / f"{model}.samples.jsonl"

    def evaluated_tasks(self, benchmark: str) -> Path:
        """Return the file of the ids of the tasks that every model is evaluated on."""
        return self.root / "eval" / benchmark / "tasks.jsonl"

    def result(self, benchmark: str, model: str) -> Path:
        return self.root / "eval" / benchmark / f"{model}.json"

    def benchmarks(self) -> list[str]:
        """Return the names (with a slash for a benchmark's subset) that hold results here,
        sorted."""
        folder = self.root / "eval"
        results = (p for p in folder.rglob("*.json") if p.parent.suffix != QUEUE)
        return sorted({p.parent.relative_to(folder).as_posix() for p in results})

    def models(self, benchmark: str) -> list[str]:
        """Return the models with a result on this benchmark, base first.

        Results of `ttc-rl score`, which are graded again, are not among them.
        """
        names = [p.stem for p in (self.root / "eval" / benchmark).glob("*.json")]
        models = [name for name in names if not name.endswith(RESCORED)]
        return sorted(models, key=lambda name: (name != "base", name))

    def load_recipe(self) -> Recipe:
        if not self.recipe.exists():
            raise UserError(f"{self.root}: not a run folder (it holds no recipe.yaml)")
        return load_recipe(self.recipe, of_run=True)

    @staticmethod
    def open(
        root: Path, recipe: Recipe, *, resume: bool = False, overwrite: bool = False
    ) -> RunDir:
        """Make the folder and write recipe.yaml, or go on with one that holds the same recipe.

        A folder in which no stage has left a result is no run yet: any recipe may begin there.
        A resumed run may change the keys that cannot change a result; recipe.yaml has the new ones.

        Raises UserError where a run exists and neither `resume` nor `overwrite` was asked, where
        the recipe asked differs from the one that the folder holds, where a training would be
        overwritten while it runs, or where it is not writable.
        """
        run, begun = RunDir(root), RunDir(root).begun
        counts = overwrite or not run.recipe.exists()  # a command that was refused counted already
        if begun:
            if overwrite:
                lock.wait_until_free(root)
                shutil.rmtree(root)
            elif not resume:
                raise UserError(
                    f"{root}: this run exists; --resume goes on with it, --overwrite starts again, "
                    "--run-dir names another folder"
                )
            else:
                before = run.load_recipe()
                _check_resumed(root, before, recipe)
                if recipe == before:
                    return run
        elif root.exists() and not run.recipe.exists() and not _empty_folder(root):
            raise UserError(f"{root}: exists and is not a run folder; --run-dir names another")
        elif run.recipe.exists() and _text(run.recipe) != dump_recipe(recipe):
            for path in (root / "eval").rglob("tasks.jsonl"):
                path.unlink()  # of an evaluation that was refused; other files are written anew
        try:
            write_text(run.recipe, dump_recipe(recipe))
        except OSError as error:
            raise UserError(
                f"{root}: cannot be written ({error.strerror}); see --run-dir"
            ) from None
        if counts:
            tried.note(root, recipe.model_dump(), overwritten=begun)
        return run


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_resumed(root: Path, before: Recipe, recipe: Recipe) -> None:
    changed = [
        f"{key} (was {_short(old)}, now {_short(new)})"
        for key, old, new in differences(before, recipe)
    ]
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise UserError(
            f"{root}: this run's recipe differs in {', '.join(changed[:NAMED])}{more}; resume "
            "with the same recipe, or --run-dir names another folder; --overwrite of `ttc-rl run` "
            "and `ttc-rl select` starts again"
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --------------------------------------------------------------------------- files


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: written beside, flushed to disk, renamed."""
    _write(path, [text.encode()])


@contextmanager
def room_at(path: Path) -> Iterator[None]:
    """Raise UserError that names `path`, in place of whatever says that the disk there is full."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise UserError(f"{path}: {FULL_DISK} ({error})") from None


def write_bytes(path: Path, content: bytes) -> None:
    _write(path, [content])


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{uuid4().hex[:8]}.part")
    try:
        with room_at(path), beside.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)  # where the pieces could not be made


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write rows like `write_text`. A row is written when it comes, and need not be held."""
    _write(path, ((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows))


def append_jsonl(path: Path, rows: Iterable[Any], *, to_disk: bool = True) -> None:
    """Append rows to a file, in one write; see `read_jsonl` for a line cut by a kill.

    No kill loses what was written; without `to_disk` a power cut does, until `sync`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with room_at(path), path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        file.flush()
        if to_disk:
            os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Flush what was appended to disk; do nothing where there is no file."""
    if path.exists():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def write_sealed(path: Path, value: dict[str, Any], *files: Path) -> None:
    """Write an object as `write_json` does, sealed by hashes of itself and of `files`.

    `read_json` and `check_vouched` compare: a file that was cut or edited is not believed.
    """
    vouched = {file.name: sha256(file) for file in files}
    write_json(path, value | {SEAL: {"sha256": _hash(value, vouched), "files": vouched}})


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_recorded(arm: ArmDir) -> None:
    """Raise UserError where what a finished training recorded was changed or cut since."""
    files = (arm.metrics, arm.dev, arm.alarms, *sorted(arm.rollouts.glob("*.parquet")))
    check_vouched(arm.training, RECORD_ANEW.format(arm.training), *files)


def check_vouched(by: Path, fix: str, *files: Path) -> None:
    """Raise UserError where a file is not what it was when `by` was written (`write_sealed`)."""
    vouched = _read_sealed(by, dict)[1] if by.exists() else {}
    for path in files:
        digest = vouched.get(path.name)
        if digest is not None and (not path.exists() or sha256(path) != digest):
            what = "was changed or cut after" if path.exists() else "is missing; it was there when"
            raise UserError(f"{path}: {what} {by.name} was written; restore it, or {fix}")


def read_json(path: Path, kind: type = dict) -> Any:
    """Read the object (or list) of a file. Raises UserError where it is missing or damaged."""
    return _read_sealed(path, kind)[0]


def _read_sealed(path: Path, kind: type) -> tuple[Any, dict[str, str]]:
    """Read what a file holds, and name -> hash of the files that it vouches for."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; {FIX}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        raise _damaged(path, error) from None
    if not isinstance(value, kind):
        raise _damaged(path, f"holds a {type(value).__name__}, expected a {kind.__name__}")
    if not isinstance(value, dict) or SEAL not in value:
        return value, {}
    seal = value.pop(SEAL)
    if not isinstance(seal, dict) or seal.get("sha256") != _hash(value, seal.get("files")):
        raise _damaged(path, "it was changed after it was written")
    return value, seal["files"]


def read_jsonl(path: Path, *needs: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that may not exist yet, each with the keys that are needed.

    Leaves out a last line without its newline: a kill cut it. Raises UserError on a damaged line.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _damaged(f"{path}:{number}", error) from None
            if not isinstance(row, dict):
                raise _damaged(f"{path}:{number}", f"a row is an object, not {row!r:.40}")
            if missing := [key for key in needs if key not in row]:
                raise _damaged(f"{path}:{number}", f"the row has no {missing[0]}")
            yield row


def read_rollouts(path: Path, columns: list[str]) -> Any:
    """Read columns of a step's completions, as pyarrow has them. Raises UserError on a damaged
    file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def read_experts(path: Path) -> list[dict[str, Any]]:
    """Read the experts of an arm: `name`, and the ids of their `targets`."""
    experts: list[dict[str, Any]] = read_json(path, list)
    for expert in experts:
        if not isinstance(expert, dict) or not {"name", "targets"} <= expert.keys():
            raise _damaged(path, "an expert has a name and targets")
    return experts


def _damaged(where: Path | str, why: object) -> UserError:
    return UserError(f"{where}: is damaged ({why}); {FIX}")


def drop_cut_line(path: Path) -> None:
    """Remove what follows the last newline, so that the next append starts on a line of its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end != len(content):
        with path.open("r+b") as file:
            file.truncate(end)


def follow_umask(path: Path) -> None:
    """Give a file, or every file of a folder, the rights that a new file has here.

    safetensors 0.8 writes files that only their owner may read.
    """
    mask = os.umask(0)
    os.umask(mask)
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            file.chmod(0o666 & ~mask)


def made_once(folder: Path, last: str, make: Callable[[Path], None]) -> Path:
    """Return the folder, made by `make` unless it is there whole: `last` is its file written last.

    One process makes it, others wait; a kill leaves nothing that would be taken for it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with room_at(folder), FileLock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / last).exists():
            beside = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(beside, ignore_errors=True)
            make(beside)
            follow_umask(beside)
            shutil.rmtree(folder, ignore_errors=True)
            beside.replace(folder)
    return folder


def cache_dir() -> Path:
    """Return the folder of embeddings and base models that runs share: $TTC_RL_CACHE, or
    ~/.cache/ttc-rl."""
    return Path(os.environ.get("TTC_RL_CACHE") or Path.home() / ".cache" / "ttc-rl")
