"""What a judge said, kept on disk: one line a reply, appended; a kill costs the last one."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from ttc_rl.run_dir import append_jsonl, drop_cut_line, read_jsonl
from ttc_rl.schema import content_hash


class Cache:
    """Replies by key, read once. Several processes may append; each sees what was there before."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "replies.jsonl"
        self.lock = threading.Lock()
        drop_cut_line(self.path)
        rows = read_jsonl(self.path) if self.path.exists() else []
        self.replies: dict[str, str] = {row["key"]: row["reply"] for row in rows}

    def get(self, key: Hashable) -> str | None:
        return self.replies.get(content_hash(key, 32))

    def put(self, replies: Mapping[Any, str]) -> None:
        if not replies:
            return
        rows = [{"key": content_hash(key, 32), "reply": text} for key, text in replies.items()]
        with self.lock:
            append_jsonl(self.path, rows)
            self.replies |= {row["key"]: row["reply"] for row in rows}
