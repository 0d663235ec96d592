"""What `ttc-rl benchmarks [NAME]` prints: a table of all, or all that is known of one."""

from __future__ import annotations

from pathlib import Path

from ttc_eval.report.tables import Table
from ttc_rl.config import SamplingConfig
from ttc_rl.corpus.addresses import address
from ttc_rl.corpus.benchmark_config import BenchmarkConfig, benchmark_names, load_config
from ttc_rl.corpus.shapes import kind_of


def benchmark_table(data: str | None = None) -> Table:
    """Return a table with one line a benchmark; reads no task. With `data`, it says whether the
    file is there."""
    columns = ["benchmark", "kind", "tasks", "samples", "temperature", "top-p", "tokens", "from"]
    rows = [_line(name, load_config(name), data) for name in benchmark_names()]
    note = "`ttc-rl benchmarks NAME` tells more. Parts: NAME/PART, NAME@COUNT; a file: NAME=FILE"
    return Table("Benchmarks", columns, rows, note)


def _line(name: str, config: BenchmarkConfig, data: str | None) -> list[str]:
    sampling = config.sampling
    size = f"{config.size:,}" if config.size else "?"
    drawn = [sampling.samples, sampling.temperature, sampling.top_p, sampling.max_tokens]
    where = _origin(config)
    if data is not None and config.file is not None:
        where = config.file if _stands_in(config.file, data) else f"{where} ({config.file} missing)"
    return [name, kind(config), size, *map(str, drawn), where]


def _stands_in(file: str, data: str) -> bool:
    path = Path(data).expanduser() / "benchmarks" / file
    return path.exists() or path.with_name(path.name + ".gz").exists()


def _origin(config: BenchmarkConfig) -> str:
    if config.source is None:
        return str(config.file)
    return config.source.hub or config.source.path or "made here"


def kind(config: BenchmarkConfig) -> str:
    """Return the kind of a benchmark's tasks; `-` where its rows name it."""
    source = config.source
    if source is None:
        return "-"
    if source.generated is not None:
        return "exact"
    return kind_of(source.shape) if source.shape else source.kind or "-"


def describe(name: str) -> str:
    """Return all that a benchmark's YAML says, in lines; reads no task. Raises UserError where
    there is no such benchmark."""
    base = address(name).base
    config = load_config(base)
    blocks = [
        [f"{base}: {config.description}"],
        _where(config),
        _parts(base, config),
        [f"sampling      {_sampling(config.sampling)}"],
        [f"differs       {config.differs}"] if config.differs else [],
        ["shown as", *(f"  {line}".rstrip() for line in config.prompt.strip().splitlines())]
        if config.prompt
        else [],
        ["known errors", *_errata(config)] if config.errata else [],
        ["published", *_published(config)] if config.published else [],
    ]
    return "\n".join(line for block in blocks for line in block)


def _where(config: BenchmarkConfig) -> list[str]:
    source = config.source
    lines = [f"kind          {kind(config)}"]
    if source is not None and source.hub is not None:
        details = [source.config, source.split, source.revision and f"revision {source.revision}"]
        lines.append(f"hub           {source.hub} ({', '.join(filter(None, details))})")
    if config.file:
        differs = f"; {config.file_differs}" if config.file_differs else ""
        lines.append(f"file          benchmarks/{config.file} under `data:`{differs}")
    lines.append(f"tasks         {f'{config.size:,} published' if config.size else 'not known'}")
    return lines


def _parts(base: str, config: BenchmarkConfig) -> list[str]:
    ways = [f"{base}/{config.subset.upper()}"] if config.subset else []
    ways += [f"{base}/YYYY-MM..YYYY-MM"] if config.date else []
    ways += [f"{base}/{name} ({r.size:,})" for name, r in config.releases.items()]
    return [f"parts         {', '.join([*ways, f'{base}@COUNT'])}"]


def _sampling(sampling: SamplingConfig) -> str:
    """Return the settings that a benchmark has of its own."""
    known = {
        "{} samples": sampling.samples,
        "temperature {}": sampling.temperature,
        "top-p {}": sampling.top_p,
        "{} tokens": sampling.max_tokens,
        "k {}": ", ".join(map(str, sampling.k or [])) or None,
    }
    said = [form.format(value) for form, value in known.items() if value is not None]
    return ", ".join(said) or "as the recipe says"


def _errata(config: BenchmarkConfig) -> list[str]:
    return [
        f"  {task}: {erratum.wrong} ({erratum.source})"
        + (f"; graded against {erratum.gold}" if erratum.gold is not None else "")
        for task, erratum in config.errata.items()
    ]


def _published(config: BenchmarkConfig) -> list[str]:
    return [
        f"  {100 * p.value:.2f} {p.metric} {p.model}{f', {p.part}' if p.part else ''} ({p.source})"
        for p in config.published
    ]
