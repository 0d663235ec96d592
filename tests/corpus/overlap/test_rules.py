"""Overlap removal against a quadratic search that is plain to read, and on planted problems."""

import os
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl import load_tasks
from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap import OverlapResult, remaining_overlap, remove_overlap
from ttc_rl.schema import Task

DATA = Path(os.environ["TTC_RL_TEST_DATA"])
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no task data here")


def math_task(prompt: str, gold: str = "1", **meta: object) -> Task:
    return Task("math", prompt, gold, meta=meta)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())


def covered(task: str, target: str, n: int) -> tuple[int, int]:
    """Shared and all n-grams of the target; the whole of a short target counts as one n-gram."""
    n = min(n, len(words(target))) or 1
    grams = [
        {tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in map(words, (task, target))
    ]
    return len(grams[0] & grams[1]), len(grams[1])


def overlaps(task: Task, target: Task, config: OverlapConfig) -> bool:
    if "".join(words(task.prompt)) == "".join(words(target.prompt)) != "":
        return True
    if task.prompt.lower() == target.prompt.lower():
        return True
    shared, total = covered(task.prompt, target.prompt, config.ngram)
    return shared > 0 and shared / total >= config.coverage


PROMPTS = st.lists(st.sampled_from(["a", "b", "a b", "C,", "-", "c c"]), max_size=9).map(" ".join)


@given(
    st.lists(PROMPTS, max_size=6),
    st.lists(PROMPTS, max_size=6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3, 0.5, 0.75, 1.0]),
)
def test_it_removes_what_a_quadratic_search_removes(
    corpus: list[str], targets: list[str], n: int, coverage: float
):
    config = OverlapConfig(ngram=n, coverage=coverage, fuzzy=None)
    tasks, goals = [math_task(p) for p in corpus], [math_task(p, "2") for p in targets]
    result = remove_overlap(tasks, goals, config)
    expected = [i for i, t in enumerate(tasks) if not any(overlaps(t, g, config) for g in goals)]
    assert result.kept == expected
    assert result.remaining_overlap == 0
    assert [removed.task_id for removed in result.removed] == [
        task.id for i, task in enumerate(tasks) if i not in set(expected)
    ]


@given(st.lists(PROMPTS, min_size=1, max_size=5), PROMPTS, st.integers(1, 3))
def test_the_target_named_is_the_one_covered_most(targets: list[str], prompt: str, n: int):
    goals = [math_task(target) for target in targets]
    for removed in remove_overlap([math_task(prompt)], goals, OverlapConfig(ngram=n)).removed:
        if removed.detail.startswith("coverage"):
            shares = [covered(prompt, t, n) for t in targets if len(words(t)) >= n]
            best = max(shared / total for shared, total in shares)
            assert removed.detail.startswith(f"coverage {best:.2f}")


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


@pytest.mark.parametrize(
    ("corpus", "target", "rule", "detail"),
    [
        ("What is  2 + 2?", "what is $2+2$", "exact", "same prompt"),
        ("\uff37hat is \uff12+2", "what is 2 2", "exact", "same prompt"),
        (f"hello {LONG}", LONG, "ngram", "coverage 1.00, 3 of 3 13-grams"),
        (LONG[:-8], LONG, "ngram", "coverage 0.67, 2 of 3 13-grams"),
        ("now, what is two plus two?", "what is two plus two", "ngram", "contains all 5 tokens"),
    ],
)
def test_each_rule_says_why(corpus: str, target: str, rule: str, detail: str):
    goal = math_task(target, "another gold")
    (removed,) = remove_overlap([math_task(corpus)], [goal], OverlapConfig()).removed
    assert (removed.target_id, removed.rule) == (goal.id, rule)
    assert removed.detail.startswith(detail)


@pytest.mark.parametrize(
    ("corpus", "target"),
    [("what is two plus two", "what is two plus two and a half"), ("+", "-"), ("?", "")],
)
def test_what_only_looks_alike_stays(corpus: str, target: str):
    assert remove_overlap([math_task(corpus)], [math_task(target)], OverlapConfig()).kept == [0]


def test_a_procedural_task_under_another_wording_goes():
    target = math_task("sort the books a c b", family="sort", content="a c b")
    corpus = [
        math_task("order of the shelf a c b", family="sort", content="a c b"),
        math_task("turn the queue a c b", family="reverse", content="a c b"),
        math_task("order of the shelf a b c", family="sort", content="a b c"),
    ]
    result = remove_overlap(corpus, [target], OverlapConfig())
    assert result.kept == [1, 2]
    assert [removed.rule for removed in result.removed] == ["content"]
    assert remaining_overlap(corpus, [target]) == 1


def test_the_report_counts():
    corpus = [math_task("a b"), math_task("x a b"), math_task("c")]
    result = remove_overlap(corpus, [math_task("A b", "7")], OverlapConfig(ngram=3))
    assert result.report() == {
        "corpus_tasks": 3,
        "targets": 1,
        "removed": 2,
        "by_rule": {"exact": 1, "ngram": 1},
        "ngram": 3,
        "coverage": 0.5,
        "fuzzy": 0.8,
        "cosine": None,
        "remaining_overlap": 0,
    }


def run(corpus: str, benchmark: str, **config: float | None) -> OverlapResult:
    tasks = load_tasks(str(DATA / "corpus" / f"{corpus}.jsonl.gz"))
    (file,) = (DATA / "benchmarks").glob(f"{benchmark}.jsonl*")
    start = time.perf_counter()
    result = remove_overlap(tasks, load_tasks(str(file)), OverlapConfig.model_validate(config))
    seconds = time.perf_counter() - start
    print(f"{corpus} x {benchmark}: {result.report()}, {seconds:.1f} s")  # noqa: T201
    return result


def targets_of(result: OverlapResult, *rules: str) -> int:
    return len({removed.target_id for removed in result.removed if removed.rule in rules})


@needs_data
@pytest.mark.parametrize(("benchmark", "exact", "half"), [("aime2024", 16, 22), ("aime2025", 4, 6)])
def test_planted_benchmark_problems_are_found(benchmark: str, exact: int, half: int):
    """The counts of the data's README. One AIME 2024 problem is equal but spaced otherwise."""
    result = run("quasar_mix", benchmark, fuzzy=None)
    corpus = {t.id: t.prompt for t in load_tasks(str(DATA / "corpus" / "quasar_mix.jsonl.gz"))}
    targets = {t.id: t for t in load_tasks(str(DATA / "benchmarks" / f"{benchmark}.jsonl"))}
    shares = {
        removed.target_id: covered(corpus[removed.task_id], targets[removed.target_id].prompt, 13)
        for removed in result.removed
    }
    assert targets_of(result, "exact") == exact
    assert sum(2 * shared >= total for shared, total in shares.values()) == half
    less = [
        targets[key].meta["id"] for key, (shared, total) in shares.items() if 2 * shared < total
    ]
    assert less == (["aime2024/II/11"] if benchmark == "aime2024" else [])
    assert result.remaining_overlap == 0


@needs_data
@pytest.mark.parametrize(
    ("corpus", "benchmark", "at_08", "at_06"),
    [
        ("quasar_mix", "aime2024", 27, 29),
        ("quasar_mix", "aime2025", 6, 7),
        ("leetcode_train", "livecodebench_public", 51, 79),
    ],
)
def test_fuzzy_finds_planted_problems_under_other_words(
    corpus: str, benchmark: str, at_08: int, at_06: int
):
    """All 30 of AIME 2024 are there: 23 by n-grams. Of 81 of LiveCodeBench, n-grams see 3."""
    for threshold, count in ((0.8, at_08), (0.6, at_06)):
        result = run(corpus, benchmark, fuzzy=threshold)
        assert targets_of(result, "exact", "ngram", "fuzzy") == count


LONGER = " ".join(f"word{i} and" for i in range(40))


@pytest.mark.parametrize(
    ("corpus", "target"),
    [
        (f"{LONGER} what is it?", f"{LONGER[:150]} new {LONGER[150:]} which is that?"),
        (
            LONGER,
            f"{LONGER[:99]} x {LONGER[99:198]} y {LONGER[198:]} {' '.join(map(str, range(99)))}",
        ),
    ],
)
def test_fuzzy_sees_the_same_text_with_other_words_or_examples(corpus: str, target: str):
    config = OverlapConfig(ngram=50)
    (removed,) = remove_overlap([math_task(corpus)], [math_task(target, "5")], config).removed
    assert removed.rule == "fuzzy"
    assert removed.similarity is not None
    assert removed.similarity >= 0.8
    assert remove_overlap(
        [math_task(corpus)], [math_task(target)], OverlapConfig(ngram=50, fuzzy=None)
    ).kept == [0]


def test_where_both_tell_their_content_that_decides():
    target = math_task(f"{LONGER} a c b", family="sort", content="a c b")
    told = math_task(f"{LONGER} a b c", family="sort", content="a b c")
    config = OverlapConfig(ngram=99)
    assert remove_overlap([told], [target], config).kept == [0]
    assert remove_overlap([math_task(f"{LONGER} a b c")], [target], config).kept == []


@needs_data
def test_many_targets_take_seconds():
    result = run("mmlu", "mmlu_pro", fuzzy=None)
    assert result.remaining_overlap == 0
    assert targets_of(result, "exact", "ngram", "content") > 1000


@needs_data
def test_a_mixed_corpus_hides_no_program_behind_the_frame_of_its_statement():
    """What code tasks all say is rare among mathematics; what they say alone must still count."""
    (file,) = (DATA / "benchmarks").glob("livecodebench_public.jsonl*")
    targets = load_tasks(str(file))
    code = load_tasks(str(DATA / "corpus" / "leetcode_train.jsonl.gz"))
    maths = load_tasks(str(DATA / "corpus" / "gsm8k_train.jsonl.gz"))
    alone = remove_overlap(code, targets, OverlapConfig())
    mixed = remove_overlap([*maths, *code], targets, OverlapConfig())
    assert len(alone.removed) > 40
    assert {r.task_id for r in alone.removed} <= {r.task_id for r in mixed.removed}
