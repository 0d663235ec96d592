"""Logs of Inspect (inspect_ai): `.eval`, a zip of one JSON file a sample, and `.json`, all in one.

Read are id, epoch, input, output and scores of each sample; events and tool calls are passed over.
A verdict is taken over where the log has one scorer and it says C or I, 1 or 0. Newer logs are
packed with zstandard, for which pyarrow is used where zipfile does not know it.
What is written is what `inspect_ai.log.read_eval_log` reads (checked with 0.3.285).
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ttc_eval.harness.interchange.foreign import Exported, Foreign, source_id
from ttc_eval.records import as_json
from ttc_rl.run_dir import write_json
from ttc_rl.sampling.prompts import render
from ttc_rl.sampling.samples import Row
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.system.install import install

ZSTANDARD = 93
_FINISHED = {"stop": "stop", "max_tokens": "length", "model_length": "length"}
_SCORES = {"C": True, "I": False, 1: True, 0: False}
_KEPT = ("status", "reason", "correct")


def read_zip(path: Path) -> Iterator[Foreign]:
    with zipfile.ZipFile(path) as log:
        names = [entry for entry in log.infolist() if entry.filename.startswith("samples/")]
        if not names:
            raise UserError(f"{path}: no log of Inspect, or one without samples")
        for entry in names:
            yield _foreign(f"{path}:{entry.filename}", json.loads(_entry(path, log, entry)))


def _entry(path: Path, log: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return log.read(entry)
    except NotImplementedError:
        if entry.compress_type != ZSTANDARD:
            raise UserError(
                f"{path}: packed in a way I cannot read ({entry.compress_type})"
            ) from None
    try:
        import pyarrow
    except ImportError:
        raise UserError(f"{path}: packed with zstandard; {install('hub')}") from None
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(30)
        file.seek(sum(struct.unpack("<HH", header[26:30])), io.SEEK_CUR)
        packed = pyarrow.BufferReader(file.read(entry.compress_size))
    return pyarrow.CompressedInputStream(packed, "zstd").read()


def read_json_log(path: Path) -> Iterator[Foreign]:
    try:
        log = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(log.get("samples"), list) or "eval" not in log:
        raise UserError(f"{path}: no log of Inspect, or one without samples")
    for number, sample in enumerate(log["samples"], 1):
        yield _foreign(f"{path}: sample {number}", sample)


def _foreign(where: str, sample: Mapping[str, Any]) -> Foreign:
    output = sample.get("output") or {}
    choice = (output.get("choices") or [{}])[0]
    text = output.get("completion") or _text((choice.get("message") or {}).get("content"))
    if not choice:
        error = (sample.get("error") or {}).get("message", "the log does not say why")
        raise UserError(f"{where}: sample {sample.get('id')!r} has no completion: {error}")
    attached: Mapping[str, str] = sample.get("attachments") or {}
    values: Row = {
        "completion": attached.get(text.removeprefix("attachment://"), text),
        "finish_reason": _FINISHED.get(str(choice.get("stop_reason"))),
        "tokens": (output.get("usage") or {}).get("output_tokens"),
    }
    name = sample.get("id")
    return Foreign(
        where,
        values | _verdict(sample.get("scores") or {}),
        str(name),
        _asked(sample.get("input"), attached),
        name - 1 if isinstance(name, int) else None,
        int(sample.get("epoch") or 1) - 1,
    )


def _text(content: Any) -> str:
    """Return the text parts of a message, without the reasoning."""
    if isinstance(content, str):
        return content
    return "".join(str(p["text"]) for p in content or () if p.get("type") == "text")


def _asked(content: Any, attached: Mapping[str, str]) -> str:
    """Return the last user turn."""
    if isinstance(content, list):
        turns = [_text(turn.get("content")) for turn in content if turn.get("role") == "user"]
        content = turns[-1] if turns else ""
    return attached.get(str(content).removeprefix("attachment://"), str(content))


def _verdict(scores: Mapping[str, Any]) -> Row:
    if len(scores) != 1:
        return {}
    (score,) = scores.values()
    verdict: Row = {"answer": score.get("answer")}
    value = score.get("value")
    if isinstance(value, str | int | float) and value in _SCORES:
        verdict["correct"] = _SCORES[value]
    ours = (score.get("metadata") or {}).get("ttc_rl") or {}
    return verdict | {key: ours[key] for key in _KEPT if key in ours}


# --------------------------------------------------------------------------- writing


def write_json_log(exported: Exported, path: Path) -> None:
    write_json(path, _header(exported) | {"samples": list(_samples(exported))})


def write_zip(exported: Exported, path: Path) -> None:
    header = _header(exported)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as log:
        start = {key: header[key] for key in ("version", "eval", "plan")}
        log.writestr("_journal/start.json", _dumps(start))
        summaries = []
        for sample in _samples(exported):
            log.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", _dumps(sample))
            summaries.append({key: sample[key] for key in _SUMMARY} | {"completed": True})
        log.writestr("summaries.json", _dumps(summaries))
        log.writestr("header.json", _dumps(header))


_SUMMARY = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage")


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=dict)


def _header(exported: Exported) -> dict[str, Any]:
    benchmark, created = exported.benchmark, datetime.fromtimestamp(exported.made, UTC).isoformat()
    samples = len(exported.rows[0])
    right = [row["correct"] is True for group in exported.rows for row in group]
    accuracy = {"name": "accuracy", "value": sum(right) / len(right)}
    name = content_hash([benchmark.name, benchmark.tasks_hash, exported.model])
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": name,
            "run_id": name,
            "created": created,
            "task": benchmark.name.replace("/", "-"),
            "task_id": benchmark.tasks_hash,
            "dataset": {
                "name": benchmark.name,
                "samples": len(benchmark.tasks),
                "sample_ids": [source_id(task) for task in benchmark.tasks],
                "shuffled": False,
            },
            "model": exported.model,
            "config": {"epochs": samples},
            "metadata": {"ttc_rl": as_json(exported.result) if exported.result else {}},
        },
        "plan": {"name": "plan", "steps": []},
        "results": {
            "total_samples": len(right),
            "completed_samples": len(right),
            "scores": [
                {"name": "ttc_rl", "scorer": "ttc_rl", "metrics": {"accuracy": accuracy}},
            ],
        },
        "stats": {"started_at": created, "completed_at": created},
    }


def _samples(exported: Exported) -> Iterator[dict[str, Any]]:
    for task, group in zip(exported.benchmark.tasks, exported.rows, strict=True):
        for row in group:
            yield _sample(exported.model, task, row)


def _sample(model: str, task: Task, row: Row) -> dict[str, Any]:
    prompt, wrote = render(task, {}), row["completion"]
    reason = {"stop": "stop", "length": "max_tokens"}.get(str(row.get("finish_reason")), "unknown")
    tokens = row.get("tokens")
    usage = {"input_tokens": 0, "output_tokens": tokens or 0, "total_tokens": tokens or 0}
    answer = {"role": "assistant", "content": wrote, "source": "generate"}
    value = {True: "C", False: "I", None: "N"}[row["correct"]]
    ours = {key: row.get(key) for key in _KEPT}
    return {
        "id": source_id(task),
        "epoch": row["sample"] + 1,
        "input": prompt,
        "target": task.gold or "",
        "messages": [{"role": "user", "content": prompt, "source": "input"}, answer],
        "output": {
            "model": model,
            "choices": [{"message": answer, "stop_reason": reason}],
            "completion": wrote,
            **({"usage": usage} if tokens is not None else {}),
        },
        "scores": {
            "ttc_rl": {
                "value": value,
                "answer": row.get("answer"),
                "explanation": row.get("reason") or None,
                "metadata": {"ttc_rl": ours},
            }
        },
        "metadata": json.loads(_dumps(task.meta)),
        "model_usage": {model: usage} if tokens is not None else {},
    }
