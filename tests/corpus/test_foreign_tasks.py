"""Task files of lm-evaluation-harness and of Inspect, as their authors write them."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from ttc_eval.report.benchmark_text import describe
from ttc_rl.corpus.benchmark_config import load_config
from ttc_rl.corpus.benchmarks import load_benchmark, named_benchmark
from ttc_rl.schema import UserError
from ttc_rl.verifiers import verify

WORDS = {"question": "2+3?", "answer": "2+3 = 5\n#### 5"}
CHOICES = {
    "question": "Which is a fruit?",
    "choices": {"text": ["fig", "fir"], "label": ["1", "2"]},
    "answerKey": "1",
    "right": "fig",
    "wrong": "fir",
}
GSM8K = r"""
tag: [math_word_problems]
task: my_gsm8k
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{answer}}"
metric_list:
  - metric: exact_match
    regexes_to_ignore: [",", "\\$", "(?s).*#### ", "\\.$"]
generation_kwargs: {until: ["Question:"], max_gen_toks: 512}
num_fewshot: 5
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "#### (\\-?[0-9\\.\\,]+)"}, {function: take_first}]
metadata: {version: 3.0}
"""
ARC = r"""
task: my_arc
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, name: str, text: str, *rows: object) -> str:
    (folder / name).write_text(text)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


# --------------------------------------------------------------------------- lm-eval


def test_a_task_of_lm_eval_is_a_benchmark(folder: Path):
    made = load_benchmark(written(folder, "gsm.yaml", GSM8K, WORDS))
    assert [(t.kind, t.prompt, t.gold) for t in made.tasks] == [("math", "Question: 2+3?", "5")]
    assert made.sampling.max_tokens == 512
    assert made.name == "gsm"
    said = made.problems[-1]
    assert "asked with our own prompt for its kind" in said
    assert "without its 5 worked examples" in said


def test_such_a_task_is_described(folder: Path):
    text = describe(written(folder, "gsm.yaml", GSM8K, WORDS))
    assert "sampling      512 tokens" in text
    assert "differs       asked with our own prompt for its kind" in text


def test_choices_are_shown_and_an_index_becomes_a_letter(folder: Path):
    (task,) = load_benchmark(written(folder, "arc.yaml", ARC, CHOICES)).tasks
    assert (task.kind, task.gold) == ("choice", "A")
    assert task.prompt == "Question: Which is a fruit?\n\nA. fig\nB. fir"
    assert verify(task, r"\boxed{A}").correct


def test_a_right_choice_that_always_stands_first_is_moved(folder: Path):
    text = ARC.replace('"{{choices.label.index(answerKey)}}"', "0").replace(
        '"{{choices.text}}"', '"{{[right, wrong]}}"'
    )
    rows = [CHOICES | {"question": f"{i}?", "right": f"r{i}", "wrong": f"w{i}"} for i in range(20)]
    tasks = load_benchmark(written(folder, "sciq.yaml", text, *rows)).tasks
    first = [task.meta["options"][0] == task.gold for task in tasks]
    assert 0 < sum(first) < len(tasks)
    assert all(verify(task, rf"\boxed{{{task.gold}}}").correct for task in tasks)


def test_a_file_that_it_includes_lies_under_it(folder: Path):
    (folder / "_template").write_text(ARC.replace("task: my_arc\n", ""))
    child = "include: _template\ntask: child\ndescription: 'About plants. '\n"
    (task,) = load_benchmark(written(folder, "child.yaml", child, CHOICES)).tasks
    assert task.prompt.startswith("About plants. Question:")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({'"{{question}}': "!function utils.ask"}, None),
        ({"output_type: generate_until": "output_type: loglikelihood"}, "loglikelihood scores"),
        ({"task: my_gsm8k": "group: all\ntask: [a, b]"}, "a group of tasks"),
        ({"exact_match": "bleu"}, "is graded by bleu, which is not done here"),
        (
            {"test_split: test": "process_docs: !function utils.docs"},
            r"process_docs is Python code",
        ),
        ({"rows.jsonl": "gone.jsonl"}, "gone.jsonl: no such file"),
        ({"dataset_path: json": "include: nowhere.yaml"}, "nowhere.yaml: no such file"),
        ({'"{{answer}}"': '"{{[answer, answer]}}"'}, "is not one answer"),
        ({'"{{answer}}"': '"{{answer[}}"'}, "is no template"),
        ({'"{{answer}}"': '"{{solution}}"'}, "names a column that is missing"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    changes: dict[str, str], message: str | None, folder: Path
):
    text = GSM8K
    for old, new in changes.items():
        text = text.replace(old, new)
    if message is None:
        text = GSM8K.replace('"Question: {{question}}\\nAnswer:"', "!function utils.ask")
        message = r"doc_to_text is Python code \(utils\.ask\), which is not run; write"
    with pytest.raises(UserError, match=message) as error:
        load_benchmark(written(folder, "gsm.yaml", text, WORDS))
    assert "\n" not in str(error.value)


def test_grading_by_code_is_replaced_for_numbers_alone(folder: Path):
    text = GSM8K.replace("num_fewshot: 5", "process_results: !function utils.grade")
    rows = [WORDS, {"question": "Who?", "answer": "#### Ada"}]
    made = load_benchmark(written(folder, "gsm.yaml", text, *rows))
    assert [task.gold for task in made.tasks] == ["5"]
    assert "its own grading (utils.grade) is not run" in made.problems[-1]
    assert "'Ada' is no number" in made.problems[0]


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="needs lm-eval: the extra `bench`")
def test_its_own_task_files_are_read_or_refused_in_one_line():
    import lm_eval

    files = sorted((Path(lm_eval.__file__).parent / "tasks").rglob("*.yaml"))[::100]
    refused: list[str] = []
    for file in files:
        try:
            load_config(str(file))
        except UserError as error:
            refused.append(str(error))
    assert not any("\n" in line for line in refused)
    assert len(refused) < 0.8 * len(files)


# --------------------------------------------------------------------------- Inspect

INSPECT = '''
"""A task file."""
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, Sample, hf_dataset, json_dataset
from inspect_ai.scorer import choice, match
from inspect_ai.solver import generate, multiple_choice, prompt_template

ROWS = "rows.jsonl"
TEMPLATE = """Solve. {prompt}""".strip()


@task
def sums(fewshot: int = 10) -> Task:
    """Sums, with the answer behind ####."""
    solver = [prompt_template(TEMPLATE), generate()]
    if fewshot:
        solver.insert(0, None)
    dataset = json_dataset(ROWS, sample_fields=record_to_sample)
    return Task(dataset=dataset, solver=solver, scorer=match(numeric=True))


def record_to_sample(record: dict) -> Sample:
    answer = record["answer"].split("####")
    target = answer.pop().strip()
    return Sample(id=made_up(record), input=f"Add. {record['question']}", target=target)


def of_fruits(path: str) -> Task:
    return Task(
        dataset=json_dataset(path, fruit),
        solver=[multiple_choice()],
        scorer=choice(),
    )


@task
def fruits() -> Task:
    return of_fruits(ROWS)


@task
def plain() -> Task:
    return Task(json_dataset(ROWS, FieldSpec(input="question", target="answer")), scorer=[match()])


def fruit(record):
    return Sample(
        input=record["question"],
        choices=record["choices"]["text"],
        target=chr(ord("A") + record["choices"]["label"].index(record["answerKey"])),
    )


@task
def computed():
    rows = [row for row in open(ROWS)]
    return Task(dataset=MemoryDataset(rows), scorer=match())


@task
def graded_by_code():
    return Task(dataset=json_dataset(ROWS, FieldSpec(input="question", target="answer")),
                scorer=runs_it())


@task
def on_the_hub():
    return Task(dataset=hf_dataset("owner/set", split="test", name="main", revision="abc",
                                   sample_fields=fruit), scorer=choice())
'''


def test_a_task_of_inspect_is_a_benchmark(folder: Path):
    file = written(folder, "evals.py", INSPECT, WORDS)
    made = load_benchmark(f"{file}@sums")
    assert [(t.kind, t.prompt, t.gold) for t in made.tasks] == [("math", "Add. 2+3?", "5")]
    assert made.name == "sums"
    assert (
        "its solver is not read; graded by our verifier in place of its match" in made.problems[-1]
    )


def test_choices_of_inspect_are_shown(folder: Path):
    file = written(folder, "evals.py", INSPECT, CHOICES, CHOICES | {"answerKey": "2"})
    tasks = named_benchmark(f"{file}@fruits").tasks
    assert [(task.kind, task.gold) for task in tasks] == [("choice", "A"), ("choice", "B")]
    assert "A. fig\nB. fir" in tasks[0].prompt


def test_fields_by_name_and_a_task_of_the_hub(folder: Path):
    file = written(folder, "evals.py", INSPECT, WORDS | {"answer": "five"})
    (task,) = load_benchmark(f"{file}@plain").tasks
    assert (task.kind, task.gold) == ("exact", "five")
    source = load_config(f"{file}@on_the_hub").source
    assert source is not None
    assert (source.hub, source.config, source.split, source.revision) == (
        "owner/set", "main", "test", "abc",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"has several tasks; name one: .*evals\.py@sums, of sums, fruits"),
        ("@nothing", "has no task nothing; there are sums"),
        ("@computed", r"computed: MemoryDataset\(.*\) is known only to Python, which is not run"),
        (
            "@graded_by_code",
            "its grading is Python code, which is not run, and 'five' is no number",
        ),
    ],
)
def test_what_only_python_knows_is_said_in_one_line(name: str, message: str, folder: Path):
    file = written(folder, "evals.py", INSPECT, WORDS | {"answer": "five"})
    with pytest.raises(UserError, match=message) as error:
        load_benchmark(f"{file}{name}")
    assert "\n" not in str(error.value)


def test_nothing_in_a_task_file_is_run(folder: Path):
    text = INSPECT + f"\nopen({str(folder / 'ran')!r}, 'w')\n"
    load_benchmark(f"{written(folder, 'evals.py', text, WORDS)}@sums")
    assert not (folder / "ran").exists()


# --------------------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{{question}}", "2+3?"),
        ("{{question}} ({{unit}})", None),
        ("{% if unit %}{{unit}}{% else %}{{question}}{% endif %}", None),
        ("{% if unit is defined %}{{unit}}{% else %}Say: {{question}}{% endif %}", "Say: 2+3?"),
        ("{{ record['question'] | upper }}", "2+3?"),
        ("{{ question.__class__ }}", None),
    ],
)
def test_a_column_may_be_a_template(prompt: str, expected: str | None, folder: Path):
    own = "description: mine\nsource:\n  path: rows.jsonl\n  kind: math\n  gold_after: '####'\n"
    own += f"  columns: {{prompt: {json.dumps(prompt)}}}\n"
    file = written(folder, "mine.yaml", own, WORDS)
    if expected is None:
        with pytest.raises(UserError, match="no task could be read"):
            load_benchmark(file)
    else:
        assert [task.prompt for task in load_benchmark(file).tasks] == [expected]
