r"""Real golds in other dress and with small changes: does the verifier tell them apart?

    python tests/benchmarks/mutants.py DATA            a table for docs/verifiers.md
    python tests/benchmarks/mutants.py DATA --show 20  with so many of the failures of each source

Each distinct maths gold of DATA (a folder like ../shared/data) has to accept itself in every
dressing that means the same, and to refuse every change. Golds that nobody can read (sentences) are
left out.
Every fifth formula is multiplied out and factored by sympy too, where both are equal at a point.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ttc_rl import Task, load_tasks, verify_many
from ttc_rl.verifiers import answers, latex

OTHER = "7919"
"""A number that is in no gold."""
_LETTER = re.compile(r"(?<![\\a-zA-Z_{])([a-df-hj-zB-HJ-Z])(?![a-zA-Z])")
_NO_FORMULA = re.compile(r"[,=<>:$]|text|math|pm|\\[{}]|(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_SIGNS = {
    r"\pi": "π",
    r"\times": "\u00d7",
    r"\cdot": "·",
    r"\infty": "∞",
    r"\le ": "≤ ",
    r"\pm": "±",
}
_WIDE = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))


@dataclass
class Found:
    """What became of the golds of one source."""

    golds: int = 0
    dressings: int = 0
    refused: list[str] = field(default_factory=list[str])
    changes: int = 0
    accepted: list[str] = field(default_factory=list[str])


def dressings(gold: str, algebra: bool = False) -> Iterator[tuple[str, str]]:
    """The same answer, spelt otherwise."""
    yield "as it stands", gold
    if "$" not in gold:
        yield "dollars", f"${gold}$"
    yield "display style", rf"\displaystyle {gold}"
    yield "braces", f"{{{gold}}}"
    yield "spaces around", rf"\;{gold}\ "
    yield "colour", rf"\textcolor{{blue}}{{{gold}}}"
    yield "large", rf"\large {gold}"
    yield "full stop", f"{gold}."
    yield "bold", rf"\boldsymbol{{{gold}}}"
    yield "no-break space", f"\u00a0{gold}\u2009"
    yield "check mark", rf"{gold}\checkmark"
    if r"\frac" in gold:
        yield "dfrac", gold.replace(r"\frac", r"\dfrac")
        yield "tfrac", gold.replace(r"\frac", r"\tfrac")
    if "-" in gold and "text" not in gold:
        yield "minus sign", gold.replace("-", "\u2212")
    for name, sign in _SIGNS.items():
        if re.search(re.escape(name) + r"(?![a-zA-Z])", gold):
            yield f"unicode {name}", re.sub(re.escape(name) + r"(?![a-zA-Z])", sign, gold)
    if re.search(r"\d", gold) and "\\" not in gold:
        yield "wide digits", gold.translate(_WIDE)
    if "(" in gold and r"\left" not in gold and gold.count("(") == gold.count(")"):
        yield "left and right", gold.replace("(", r"\left(").replace(")", r"\right)")
        yield "big", gold.replace("(", r"\bigl(").replace(")", r"\bigr)")
    if re.search(r"(?<=[\w)}])[+=]", gold) and "text" not in gold:
        yield "spaces about signs", re.sub(r"\s*([+=])\s*", r" \1 ", gold)
    if is_number(gold):
        yield "named", f"x = {gold}"
        yield "plus nothing", f"{gold}+0"
        yield "named at the right", f"{gold} = x"
        yield "thousands", f"{int(gold):,}"
        yield "point nought", f"{gold}.0"
        yield "in text", rf"\text{{{gold}}}"
    elif algebra:
        yield from by_sympy(gold)


def by_sympy(gold: str) -> Iterator[tuple[str, str]]:
    """A formula multiplied out, factored, and with its terms in sympy's order."""
    if len(gold) > 50 or _NO_FORMULA.search(gold) or not re.search(r"(?<![\\a-zA-Z])[a-z]", gold):
        return
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
    from sympy import Expr, expand, factor
    from sympy import latex as written

    try:
        formula = latex2sympy(gold, conversion_config=ConversionConfig(lowercase_symbols=False))
        if not isinstance(formula, Expr) or not formula.free_symbols:
            return
        letters = sorted(formula.free_symbols, key=str)
        point = [(letter, 0.37 + 0.61 * i) for i, letter in enumerate(letters)]
        others = {"sympy": formula, "expanded": expand(formula), "factored": factor(formula)}
        for name, other in others.items():
            if abs(complex((formula - other).subs(point))) < 1e-9:
                yield name, written(other)
    except Exception:  # noqa: BLE001  # whatever the other parser cannot read
        return


def changes(gold: str) -> Iterator[tuple[str, str]]:
    """Another answer, close to the gold."""
    digits = list(re.finditer(r"\d", gold))
    if digits and not is_family(gold):
        last = digits[-1]
        yield (
            "a digit",
            gold[: last.start()] + str((int(last.group()) + 1) % 10) + gold[last.end() :],
        )
        first = digits[0]
        other = str(int(first.group()) % 9 + 1)
        yield "the first digit", gold[: first.start()] + other + gold[first.end() :]
    if gold.startswith("-"):
        yield "sign", gold[1:] if not re.search(r"[,=<>+]|(?<!^)-|pm|or", gold[1:]) else f"{gold}+1"
    elif is_number(gold) and int(gold):
        yield "sign", f"-{gold}"
    words = "text" in gold or len(gold) < 2 or latex.is_words(gold) or " is " in gold
    letter = None if words else _LETTER.search(gold)
    if letter and not re.search(rf"(?<![\\a-zA-Z]){letter[1].swapcase()}(?![a-zA-Z])", gold):
        swapped = letter[1].swapcase()
        yield "a letter's case", gold[: letter.start()] + swapped + gold[letter.end() :]
    if "^2" in gold and not re.search(r"text|cm|m\^2", gold):
        yield "an exponent", gold.replace("^2", "^3", 1)
    if re.fullmatch(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]", gold) and r"\infty" in gold:
        swap = {"(": "[", "[": "(", ")": "]", "]": ")"}
        finite = gold[0] if not gold[1:].lstrip().startswith(r"-\infty") else ""
        yield (
            "an interval's end",
            swap[gold[0]] + gold[1:] if finite else gold[:-1] + swap[gold[-1]],
        )
    if unit := re.search(r"\\text\{ ?(cm|km|kg|m|inches|feet|meters|hours|minutes|miles)\}", gold):
        other = "seconds" if unit[1] not in ("hours", "minutes") else "meters"
        yield "a unit", gold.replace(unit[1], other)
    if base := re.fullmatch(r"(\w+)_\{?(\d+)\}?", gold):
        yield "a base", f"{base[1]}_{{{int(base[2]) + 1}}}"
    if (
        re.fullmatch(r"[^()\[\]{}]+(?:, ?[^()\[\]{}]+)+", gold)
        and "text" not in gold
        and not re.fullmatch(r"\d{1,3}(,\s?\d{3})+", gold)
    ):
        items = [item.strip() for item in gold.split(",")]
        if len(set(items)) == len(items):
            yield "an item dropped", ", ".join(items[:-1])
            yield "an item more", f"{gold}, {OTHER}"
    yield "x=x+1", "x=x+1"
    yield "another number", OTHER
    yield "a hedge", rf"{gold} \text{{ or }} {OTHER}"
    yield "a second answer", f"{gold}, {OTHER}"
    yield "denied", rf"\text{{not }} {gold}"
    yield "in words wrong", rf"{gold} \text{{ is wrong}}"
    if is_number(gold) and int(gold):
        yield "hundreds", rf"{gold}\text{{ hundred}}"
        yield "a factorial", f"({gold}+3)!"
        yield "imaginary", f"{gold}i"
        yield "times a letter", f"{gold}t"
        yield "another base", f"{gold}_{{11}}"
        yield "a power", f"{gold}^{{7}}" if abs(int(gold)) > 1 else f"{gold}+1"
        yield "at least", rf"\ge {gold}"
        yield "nearly", f"{gold}.0000001"
        yield "more", rf"{gold}\text{{ or more}}"
    if fraction := re.fullmatch(r"-?\\d?frac\{(\d+)\}\{(\d+)\}", gold):
        top, bottom = int(fraction[1]), int(fraction[2])
        if bottom and (10**7 * top) % bottom:
            yield "rounded", f"{'-' * gold.startswith('-')}{top / bottom:.7f}"


def is_number(gold: str) -> bool:
    return re.fullmatch(r"-?\d{1,15}", gold) is not None and (
        gold == "0" or gold.lstrip("-")[0] != "0"
    )


def is_family(gold: str) -> bool:
    """Whether digits stand in names: `x_1 = 2`, `\\text{Set 3}`."""
    return re.search(r"_|text|[A-Z]\d|:|pmod", gold) is not None


def try_golds(golds: list[str], *, algebra: int = 0) -> Found:
    """Every dressing and change of some golds; of each `algebra`-th one those by sympy too."""
    readable = [g for g in golds if len(g) < 200 and answers.is_readable(latex.tidy(g))]
    cases = [
        (gold, name, text, True)
        for place, gold in enumerate(readable)
        for name, text in dressings(gold, algebra=algebra > 0 and place % algebra == 0)
    ]
    cases += [(gold, name, text, False) for gold in readable for name, text in changes(gold)]
    tasks = [Task("math", "?", gold) for gold, *_ in cases]
    verdicts = verify_many(tasks, [rf"\boxed{{{text}}}" for _, _, text, _ in cases])
    found = Found(golds=len(readable))
    for (gold, name, text, same), verdict in zip(cases, verdicts, strict=True):
        told = f"{name}: {gold!r} | {text!r} ({verdict.correct} {verdict.status})"
        if same:
            found.dressings += 1
            found.refused += [told] * (verdict.correct is not True)
        else:
            found.changes += 1
            found.accepted += [told] * (verdict.correct is True)
    return found


def golds_of(path: Path) -> dict[str, list[str]]:
    """The distinct maths golds of each source in a file, in their order."""
    sources: dict[str, dict[str, None]] = {}
    for task in load_tasks(str(path)):
        if task.kind == "math" and task.gold and not task.meta.get("tolerance"):
            sources.setdefault(task.source, {})[task.gold.strip()] = None
    return {source: list(golds) for source, golds in sources.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print(
        "| source | golds | dressings | refused | changes | accepted |\n|---|---|---|---|---|---|"
    )
    total = Found()
    for path in sorted([*args.data.glob("corpus/*"), *args.data.glob("benchmarks/*")]):
        if args.only not in path.name:
            continue
        for source, golds in golds_of(path).items():
            found = try_golds(golds, algebra=5)
            row(source, found)
            total.golds += found.golds
            total.dressings += found.dressings
            total.changes += found.changes
            total.refused += found.refused
            total.accepted += found.accepted
            for line in [*found.accepted[: args.show], *found.refused[: args.show]]:
                print("   ", line)
    row("all", total)


def row(name: str, found: Found) -> None:
    refused, accepted = len(found.refused), len(found.accepted)
    print(
        f"| {name} | {found.golds:,} | {found.dressings:,} | {refused:,} "
        f"({refused / max(1, found.dressings):.2%}) | {found.changes:,} | {accepted:,} "
        f"({accepted / max(1, found.changes):.3%}) |",
        flush=True,
    )


if __name__ == "__main__":
    main()
