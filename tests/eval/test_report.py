import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from unsealed import unseal

from ttc_eval.compare.runs import compare
from ttc_eval.harness.evaluate import evaluate_model
from ttc_eval.records import BenchmarkSummary, Rates, Sampling, Scores, Summary
from ttc_eval.report import charts, page
from ttc_eval.report.base_model import shown_name
from ttc_eval.report.compare_page import write_comparison
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import headline, write_page
from ttc_eval.report.sections.training import running_mean
from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.corpus.benchmarks import benchmark_from_source
from ttc_rl.metrics import Difference, Estimate
from ttc_rl.run_dir import RunDir, read_json, write_json, write_jsonl
from ttc_rl.sampling.samples import numbered_rows

ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}}
HOSTILE = '<script>"&'
VOID = {"meta", "path", "circle", "br", "input"}


class Strict(HTMLParser):
    """Every tag is closed in its order, and nothing is loaded from anywhere."""

    def __init__(self):
        super().__init__()
        self.open, self.scripts = list[str](), 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        given = dict(attrs)
        assert "src" not in given
        assert (given.get("href") or "#").startswith(("#", "pages/"))
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str):
        if tag not in VOID:
            assert self.open.pop() == tag


def check(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    assert parser.scripts == 1
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "{{" not in text
    return text


def fill(run: RunDir, recipe: Recipe, name: str = "sift", source: str = "skills") -> None:
    """Write by hand what select and train leave."""
    arm = run.arm(name, recipe)
    meta = {"family": "cipher", "level": 2}
    task = {"prompt": "<b>pick</b> me", "source": source, "meta": meta}
    pick = {"task_id": "t", "gain": 0.5, "nearest_target": 0, "similarity": 0.75}
    picks = [{"rank": i, "uncertainty": 9.0 - i, "task": task, **pick} for i in range(3)]
    write_jsonl(arm.curriculum, picks)
    write_json(
        arm.selection,
        {
            "targets": [{"task_id": "x", "prompt": "the nearest target of all"}],
            "uncertainty": {"start": 10.0, "after": 7.0, "floor": 2.0},
            "contamination": {
                "pairs_compared": 36,
                "targets": 12,
                "targets_above_any": 1,
                "measures": {
                    "span": {
                        "max": 31,
                        "median": 4.0,
                        "threshold": 25,
                        "targets_above": 1,
                        "same_answer": 1,
                    }
                },
            },
        },
    )
    span = {"value": 31, "text": "the <i>longest</i> text", "rank": 0}
    write_jsonl(arm.contamination, [{"prompt": "the target", "span": span, "above": ["span"]}])
    rows = [{"step": i, "reward": i / 10, "entropy": 1.0} for i in range(1, 6)]
    write_jsonl(arm.metrics, [*rows, {"step": 5, "train_runtime": 3.0}])
    removed = {"task_id": "t", "target_id": "x", "rule": "exact", "detail": "all"}
    write_jsonl(run.overlap, [removed | {"prompt": "seen before", "target_prompt": "the target"}])
    write_json(
        run.overlap.with_suffix(".json"),
        {
            "corpus_tasks": 1234,
            "targets": 12,
            "removed": 1,
            "by_rule": {"exact": 1},
            "ngram": 13,
            "coverage": 0.5,
            "remaining_overlap": 0,
        },
    )
    write_json(run.versions, {"packages": {"numpy": "2.4.6"}})


def written(run: RunDir) -> Path:
    return write_page(read_material(run, run.load_recipe()))


def test_a_whole_run_is_one_file_with_its_numbers(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    fill(run, run.load_recipe())
    text = check(written(run))
    value = json.loads(run.result("sums", "sift").read_text())["metrics"]["avg@4"]["value"]
    for told in (
        "TTC-RL (sift) raises avg@4 on sums from",
        f"to {100 * value:.1f} %",
        "The corpus holds no target task: checked 1,234 corpus tasks against 12 targets.",
        "all 36 pairs of chosen tasks and targets compared, 1 of 12 targets worth a look",
        "the &lt;i&gt;longest&lt;/i&gt; text",
        "&lt;b&gt;pick&lt;/b&gt; me",
        "the nearest target of all",
        "numpy",
        "corpus:",
    ):
        assert told in text


def test_a_reader_sees_which_model_is_the_base(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS, model="lab/Small-1B")
    text = check(written(run))
    assert "base is lab/Small-1B, before training." in text
    for shown in ("<td>base (Small-1B)</td>", "<b>base (Small-1B)</b>", ">(Small-1B)<"):
        assert shown in text
    assert shown_name("sift", run.load_recipe()) == "sift"
    made = Recipe.model_validate({"model": {"pretrain": {}}, "corpus": "c", "target": "t"})
    assert shown_name("base", made) == "base (made here)"


def test_a_long_name_of_a_model_is_cut_and_whole_in_its_tooltip():
    name = "DeepSeek-R1-Distill-Qwen-32B-checkpoint"
    chart = charts.interval_chart([(f"base\n({name})", "base", Estimate(0.5, 0.4, 0.6))],
                                  title="t", x_label="x")  # fmt: skip
    assert f"…<title>({name})</title>" in chart


def test_published_numbers_stand_beside_ours(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    entry = {"model": "Theirs-8B", "metric": "avg@4", "value": 0.4167, "source": "their paper"}
    for model in ARMS:
        path = run.result("sums", model)
        write_json(path, read_json(path) | {"published": [entry]})
    text = check(written(run))
    assert "Theirs-8B</td><td>avg@4</td><td>41.7 %</td><td>their paper" in text


def test_what_a_model_wrote_is_text_and_not_markup(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    path = run.samples("sums", "sift")
    rows = [row for _, row in numbered_rows(path)]
    rows[0]["completion"] = "</pre><script>alert(1)</script> {{body}}"
    rows[0]["answer"] = '"><script>alert(2)</script>'
    write_jsonl(path, rows)
    unseal(run.result("sums", "sift"))
    text = written(run).read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{body}}" in text
    assert "<script>alert" not in text


class Places(Strict):
    """Collect the elements whose text, or whose attribute, holds the hostile text."""

    def __init__(self):
        super().__init__()
        self.found = set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        super().handle_starttag(tag, attrs)
        self.found |= {f"{tag} {name}" for name, value in attrs if HOSTILE in (value or "")}

    def handle_data(self, data: str):
        if HOSTILE in data:
            self.found.add(self.open[-1])


def test_names_and_texts_of_data_are_escaped_wherever_they_stand(guesser: Any, tmp_path: Path):
    file = tmp_path / f"{HOSTILE}.jsonl"
    task = {"kind": "math", "answer": "2", "source": HOSTILE}
    write_jsonl(file, [task | {"prompt": f"{i} {HOSTILE}"} for i in range(6)])
    usual = {"model": "m", "corpus": "c.jsonl", "target": str(file), "arms": {"sift": {}}}
    recipe = Recipe.model_validate(usual)
    run = RunDir.open(tmp_path / HOSTILE, recipe)
    arms = {"sift": recipe.arms["sift"], HOSTILE: recipe.arms["sift"]}
    recipe = recipe.model_copy(update={"arms": arms})  # which no recipe.yaml could hold
    benchmark = benchmark_from_source(HOSTILE, SourceConfig(path=str(file)))
    for model in ("base", *arms):
        sampling = Sampling(samples=4, k=[1, 4])
        evaluate_model(guesser, benchmark, sampling, run, model, seed=len(model))
    write_comparison(compare([run]), tmp_path / "compare.html")
    for arm in arms:
        fill(run, recipe, arm, HOSTILE)
    path = run.samples(HOSTILE, HOSTILE)
    rows = [row for _, row in numbered_rows(path)]
    write_jsonl(path, [row | {"completion": HOSTILE} for row in rows])
    unseal(run.result(HOSTILE, HOSTILE))

    both = {"title", "p", "td", "caption", "figcaption", "text"}
    pages = {
        write_page(read_material(run, recipe)): both
        | {"h1", "h3", "b", "summary", "span", "option", "pre"}
        | {"option value", "article data-model", "svg aria-label"},
        tmp_path / "compare.html": both,
    }
    for page_path, places in pages.items():
        parser = Places()
        parser.feed(check(page_path))
        assert parser.found >= places
        assert not re.search(r"&(?!\w+;|#\d+;)", page_path.read_text().partition("<script>")[0])


def test_a_section_that_forgets_to_make_markup_is_shown_as_text():
    assert page.details("more", "<b>") == page.details("more", escape("<b>"))


def sections(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def test_a_run_that_only_selected_shows_what_there_is(tmp_path: Path, make_run: Any):
    run = make_run(tmp_path / "r", "sums", 1, {})
    fill(run, run.load_recipe())
    run.arm("sift", run.load_recipe()).metrics.unlink()
    text = check(written(run))
    assert "Nothing was evaluated on sums yet." in text
    assert "Curriculum" in sections(text)
    assert not {"Results", "Task by task", "Training", "Plan and outcome"} & {*sections(text)}


def test_an_empty_run_still_has_a_report(tmp_path: Path, make_run: Any):
    run = make_run(tmp_path / "r", "sums", 1, {})
    assert sections(check(written(run))) == ["How this was made"]


def told(
    base: float,
    sift: float,
    lo: float | None,
    hi: float | None,
    tasks: int = 30,
    undecided: float = 0.0,
) -> list[str]:
    rates = dict.fromkeys([field.name for field in fields(Rates)], 0.0)

    def scores(value: float) -> Scores:
        metrics = {"avg@4": Estimate(value, value, value)}
        return Scores(metrics=metrics, rates=Rates(**rates | {"undecided": undecided}))

    part = BenchmarkSummary(
        tasks=tasks,
        samples=4,
        tasks_hash="",
        published=[],
        models={"base": scores(base), "sift": scores(sift)},
        differences={"sift - base": {"avg@4": Difference(sift - base, lo, hi, None)}},
        power={},
    )
    return headline(summary({"aime25": part}))


def summary(benchmarks: dict[str, BenchmarkSummary]) -> Summary:
    return Summary(target="aime25", benchmarks=benchmarks, changed={}, retention={}, analysis={})


def test_a_sure_gain_is_a_raise():
    first = told(0.2, 0.5, 0.1, 0.4)[0]
    assert first == (
        "TTC-RL (sift) raises avg@4 on aime25 from 20.0 % to 50.0 % (+30.0 [+10.0, +40.0] points)."
    )


def test_a_sure_loss_is_a_fall():
    assert "lowers avg@4" in told(0.5, 0.2, -0.4, -0.1)[0]


@pytest.mark.parametrize("interval", [(-0.1, 0.4), (None, None)])
def test_what_is_not_resolved_is_said(interval: tuple[float | None, float | None]):
    first = told(0.2, 0.3, *interval)[0]
    assert "moves avg@4" in first
    assert first.endswith("the difference is not resolved.")


def test_nothing_solved_is_said_plainly():
    (only,) = told(0.0, 0.0, 0.0, 0.0)
    assert only == "Nothing was solved: every model scored 0 on aime25 (30 tasks, 4 samples each)."


def test_what_could_not_be_graded_is_not_called_unsolved():
    (only,) = told(0.0, 0.0, 0.0, 0.0, undecided=1.0)
    assert only.startswith("aime25 could not be graded: no verdict on 30 tasks, 4 samples each")


def test_one_task_has_no_interval_and_the_page_says_so():
    assert "one task has no interval" in told(0.0, 0.5, None, None, tasks=1)[-1]


def test_a_target_that_was_not_evaluated():
    assert headline(summary({})) == ["Nothing was evaluated on aime25 yet."]


def test_ticks_are_round_and_inside():
    assert charts.ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert charts.ticks(3, 97) == [20, 40, 60, 80]
    assert charts.ticks(0.5, 0.5) == pytest.approx([0.5])


def test_a_running_mean_of_a_constant_is_the_constant():
    points = [(float(i), 2.0) for i in range(40)]
    assert running_mean(points) == points


def test_a_long_cell_is_shortened_and_whole_in_its_tooltip():
    table = page.text_table(["a"], [["x" * 300]], [])
    assert f'title="{"x" * 300}"' in table
    assert "x…</td>" in table


def test_arms_without_a_colour_of_their_own_get_different_ones_and_experts_their_arms():
    legend = page.legend(["sift", "a b", "c/e0", "c/e1"])
    text = page.page("title", "heading", "lead", [("arms", "Arms", legend)])
    found = re.findall(r"^\.(arm-\S+) \{ color: (.*?); \}$", text, re.MULTILINE)
    assert [name for name, _ in found] == ["arm-a-b", "arm-c"]
    assert len({colour for _, colour in found}) == 2
    assert page.css_class("sift") == "sift"
