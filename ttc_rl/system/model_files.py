"""Whether a model's folder holds what it should: a look at names and beginnings of files, no more.

Nothing heavy is imported. A name that may be the hub's is not asked for here.
"""

from __future__ import annotations

import json
from pathlib import Path

from ttc_rl.schema import UserError

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tekken.json")
"""Files that hold a vocabulary. Without one transformers makes an empty tokenizer, silently."""
POINTER = b"version https://git-lfs"
"""How a file begins that git left in the place of a large one."""


class Unusable(UserError):
    """A model that cannot be used: the fault, and the remedy."""

    def __init__(self, seen: str, fix: str) -> None:
        super().__init__(f"{seen}; {fix}")
        self.seen, self.fix = seen, fix


def check_place(path: Path | str) -> None:
    """Raise Unusable where `path` can only be a folder, and is none."""
    folder = Path(path)
    if folder.is_file():
        raise Unusable(f"{path}: is a file", "name the folder that it is in")
    if not folder.is_dir() and _is_folder_name(str(path)):
        home = str(path).startswith("~")
        raise Unusable(f"{path}: no such folder", "write ~ out" if home else "mend the path")


def _is_folder_name(path: str) -> bool:
    """Return whether a path names a folder. Ids of the hub are NAME or OWNER/NAME."""
    return path.startswith(("/", ".", "~")) or path.count("/") > 1 or path.endswith("/")


def check_folder(folder: Path) -> None:
    """Raise Unusable where config, weights or vocabulary are missing, cut short, or stand-ins."""
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            raise Unusable(
                f"{folder}: holds an adapter, not a model",
                "merge it into its base (merge_and_unload of peft) and save that",
            )
        raise Unusable(f"{folder}: holds no config.json", "name the folder of save_pretrained")
    check_weights(folder)
    if not any(file for pattern in TOKENIZERS for file in folder.glob(pattern)):
        raise Unusable(f"{folder}: holds no tokenizer", "save that of its base model there")


def check_weights(folder: Path) -> None:
    """Raise Unusable where weight files are missing, cut short, or git's stand-ins for them."""
    for index in sorted(folder.glob("*.index.json")):
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if missing := [name for name in names if not (folder / name).exists()]:
            raise Unusable(
                f"{folder}: {missing[0]} is missing", f"copy all that {index.name} names"
            )
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
    if not files:
        raise Unusable(f"{folder}: holds no weights ({', '.join(WEIGHTS)})", "copy them there")
    for file in files:
        with file.open("rb") as content:
            head = content.read(len(POINTER))
        if head == POINTER:
            raise Unusable(f"{file}: is git's stand-in for the file", "`git lfs pull` there")
        if file.suffix == ".safetensors" and file.stat().st_size != _whole_size(file):
            raise Unusable(f"{file}: is cut short or damaged", "copy it again")


def _whole_size(file: Path) -> int | None:
    """Return the bytes that the header of a safetensors file announces; None where there is no
    header.

    Eight bytes say how long the header is; it says where in the rest each tensor ends.
    """
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if not 0 < length <= file.stat().st_size:
            return None
        try:
            header = json.loads(content.read(length))
        except ValueError:
            return None
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)
