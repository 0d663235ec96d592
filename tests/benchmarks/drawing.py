# ruff: noqa: T201
"""Our seeded completions beside transformers' `generate(do_sample=True)`. Not run by pytest.

    python tests/benchmarks/drawing.py MODEL [--data FOLDER] [--runs 5] [--rows 48] [--tokens 24]

MODEL is a small chat model, as an id or a folder: HuggingFaceTB/SmolLM2-135M-Instruct, whose
vocabulary has 49,152 words. A model of the same shape with 151,936 words and random weights stands
beside it; its scores are spread as a trained model's are. Both read problems of SVAMP
(corpus/svamp.jsonl.gz).

Full rows: nothing ends before the limit, so that both write the same number of tokens from the same
prompts. Lengths as they come: the model ends its answers itself, each problem is answered four
times, and the limit is 256 tokens. Runs alternate; a ratio is of medians, of the time on the clock
and of processor time, which a crowded machine changes less. Below 1 we are faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen3Config

from ttc_rl.corpus.sources import load_tasks
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import PAD, GenerateCompleter, _padded
from ttc_rl.sampling.prompts import end_ids, prompt_text
from ttc_rl.schema import Task
from ttc_rl.train.packaged import packaged_model

WIDE = 151_936
SAMPLES, LIMIT = 4, 256
PROMPTS = {"math": "{prompt}"}


def wide_model(config: Any) -> Any:
    """The same layers and width under a vocabulary of Qwen's size."""
    torch.manual_seed(0)
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "head_dim")  # fmt: skip
    made = Qwen3Config(
        vocab_size=WIDE,
        tie_word_embeddings=False,
        **{name: getattr(config, name) for name in names},
    )
    model: Any = AutoModelForCausalLM.from_config(made).float().eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(5)
    return model


def plain(completer: GenerateCompleter, tasks: list[Task], samples: int) -> Callable[[], Any]:
    """What `generate` does with the same prompts, as many rows, and the same end tokens."""
    words, decoding = completer.tokenizer, completer.decoding
    texts = [prompt_text(task, PROMPTS, words) for task in tasks]
    prompts = words(texts, add_special_tokens=words.chat_template is None)["input_ids"]
    ids, mask = _padded([ids for ids in prompts for _ in range(samples)])
    config = GenerationConfig(
        do_sample=True,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        top_k=0,
        max_new_tokens=decoding.max_tokens,
        pad_token_id=PAD,
        eos_token_id=sorted(end_ids(completer.model.generation_config, words)) or None,
    )
    return lambda: completer.model.generate(
        input_ids=ids, attention_mask=mask, generation_config=config
    )


def clock(call: Callable[[], Any]) -> tuple[float, float]:
    began, spent = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - spent


def compare(name: str, completer: GenerateCompleter, tasks: list[Task], samples: int, runs: int):
    """One row of the table."""
    ours, theirs = list[tuple[float, float]](), list[tuple[float, float]]()
    generate = plain(completer, tasks, samples)
    completer(tasks[:1], 1, seed=0)  # the first forward of a model takes longer
    for run in range(runs):
        ours.append(clock(lambda: completer(tasks, samples, seed=run)))  # noqa: B023  called now
        theirs.append(clock(generate))
    wall, cpu = ([median(pair[i] for pair in times) for times in (ours, theirs)] for i in (0, 1))
    print(
        f"| {name} | {completer.model.config.vocab_size:,} | {completer.decoding.top_p:g} | "
        f"{wall[0]:.2f} s | {wall[1]:.2f} s | {wall[0] / wall[1]:.2f} | {cpu[0] / cpu[1]:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=24)
    given = parser.parse_args()
    tasks = load_tasks(str(given.data / "corpus" / "svamp.jsonl.gz"))[: given.rows]
    path = packaged_model(given.model) or given.model
    real = GenerateCompleter.load(path, Decoding(LIMIT), PROMPTS)
    ends = real.model.generation_config.eos_token_id, real.tokenizer.eos_token
    print("| what | words | top_p | ours | generate | time | processor time |")
    print("|:--|--:|--:|--:|--:|--:|--:|")
    real.model.generation_config.eos_token_id = real.tokenizer.eos_token = None
    for model in (real.model, wide_model(real.model.config)):
        model.generation_config.eos_token_id = None
        for top_p in (1.0, 0.95):
            decoding = Decoding(given.tokens, top_p=top_p)
            completer = GenerateCompleter(model, real.tokenizer, decoding, PROMPTS)
            compare("full rows", completer, tasks, 1, given.runs)
    real.model.generation_config.eos_token_id, real.tokenizer.eos_token = ends
    few = tasks[: given.rows // SAMPLES]
    for top_p in (1.0, 0.95):
        completer = real.decoding_with(Decoding(LIMIT, top_p=top_p))
        compare("lengths as they come", completer, few, SAMPLES, given.runs)
    lengths = [c.tokens for group in real(few, SAMPLES, seed=0) for c in group]
    print(f"\nLengths: {min(lengths)} to {max(lengths)} tokens, mean {mean(lengths):.0f}.")


if __name__ == "__main__":
    main()
