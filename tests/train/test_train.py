"""The trainer's own parts, short of a run: what TRL is given, checks, what is generated."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from whole_replies import END, WholeReplies

from ttc_rl.config import PretrainConfig, Recipe, SkillsConfig
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import ArmDir, RunDir
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.stages.job import Job
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods.grpo_config import grpo_config
from ttc_rl.train.methods.grpo_reward import Ledger
from ttc_rl.train.tiny_model import base_model, byte_tokenizer, word_tokenizer
from ttc_rl.verifiers import Graders, Kind

PROMPTS = {"exact": "{prompt} =>"}


def recipe(**train: object) -> Recipe:
    sections = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "prompts": PROMPTS}
    small = {"tasks_per_step": 2, "rollouts_per_task": 2, "max_completion_tokens": 8}
    return Recipe.model_validate({**sections, "train": {**small, **train}})


@pytest.fixture(scope="module")
def model(cache: Path) -> Path:
    config = PretrainConfig(layers=1, max_steps=5, skills=SkillsConfig(tasks_per_family=5))
    return base_model(config, 0, PROMPTS)


def test_trl_is_given_a_step_as_the_recipe_counts_it(tmp_path: Path):
    made = recipe(micro_batch=2, trl={"learning_rate": 1e-3, "epsilon_high": 0.28})
    config = grpo_config(made, plan(list("abcd"), made.train).steps, ArmDir(tmp_path), track=False)
    assert (config.per_device_train_batch_size, config.gradient_accumulation_steps) == (2, 2)
    assert (config.num_generations, config.max_steps, config.shuffle_dataset) == (2, 2, False)
    assert (config.learning_rate, config.epsilon_high) == (1e-3, 0.28)
    assert config.generation_batch_size == 4


def test_a_value_that_trl_refuses_is_one_line(tmp_path: Path):
    made = recipe(trl={"lr_scheduler_type": "zigzag"})
    with pytest.raises(UserError, match=r"train\.trl: TRL's GRPOConfig says"):
        grpo_config(made, plan(list("abcd"), made.train).steps, ArmDir(tmp_path), track=False)


def test_rollouts_out_of_order_stop_the_training(tmp_path: Path):
    made = recipe()
    tasks = {i: Task(kind="exact", prompt=i, gold="1", id=i) for i in "abcd"}
    replies = WholeReplies()
    ids = replies.ids("answer 1", "answer 2", "", "answer 1")
    order = plan(list("abcd"), made.train)
    ledger = Ledger(made, order, tasks, ArmDir(tmp_path), replies, [END])
    arguments = {
        "prompts": [""] * 4,
        "completions": [""] * 4,
        "completion_ids": ids,
        "log_metric": lambda *_: None,
    }
    second = SimpleNamespace(global_step=1)
    rewards = ledger.verified_reward(**arguments, task_id=list("ccdd"), trainer_state=second)
    assert rewards == [1.0, 0.0, 0.0, 1.0]
    with pytest.raises(RuntimeError, match="TRL did not keep the order"):
        ledger.verified_reward(**arguments, task_id=list("ddcc"), trainer_state=second)


def test_a_share_of_a_users_verifier_is_the_reward_and_a_programs_is_not(tmp_path: Path):
    made = recipe()
    half = Kind("mine", lambda task, completion: 0.5)
    program = Kind("code", lambda task, completion: Verdict(False, "print(1)", share=0.5))
    graders = Graders({"mine": half, "code": program})
    tasks = {i: Task(kind, i, "1", id=i) for i, kind in (("a", "mine"), ("b", "code"))}
    replies, order = WholeReplies(), plan(["a", "b"], made.train)
    ledger = Ledger(made, order, tasks, ArmDir(tmp_path), replies, [END], graders=graders)
    rewards = ledger.verified_reward(
        [""] * 4,
        [""] * 4,
        replies.ids(*["x"] * 4),
        list("aabb"),
        SimpleNamespace(global_step=0),
        lambda *_: None,
    )
    assert rewards == [0.5, 0.5, 0.0, 0.0]


def test_a_base_model_is_trained_once_and_another_seed_is_another_model(
    model: Path, cache: Path, said: list[str]
):
    config = PretrainConfig(layers=1, max_steps=5, skills=SkillsConfig(tasks_per_family=5))
    said.clear()
    assert base_model(config, 0, PROMPTS) == model
    assert said == [f"base model {model.name}: cached"]
    assert base_model(config, 1, PROMPTS) != model


def test_the_same_seed_draws_the_same_completions(model: Path):
    tasks = make_skills(SkillsConfig(split="test", tasks_per_family=1))[:3]
    completer = GenerateCompleter.load(model, Decoding(max_tokens=6), PROMPTS)
    first, again, other = (completer(tasks, 2, seed=s) for s in (0, 0, 1))
    assert first == again != other
    assert [len(group) for group in first] == [2, 2, 2]
    for completion in (c for group in first for c in group):
        assert completion.truncated == (completion.finish_reason == "length")
        assert 1 <= completion.tokens <= 6
    greedy = completer.decoding_with(Decoding(max_tokens=6, temperature=0))
    assert greedy(tasks, 1, seed=0) == greedy(tasks, 1, seed=5)


def test_a_sample_does_not_depend_on_what_is_drawn_beside_it(model: Path):
    tasks = make_skills(SkillsConfig(split="test", tasks_per_family=2))[:12]
    completer = GenerateCompleter.load(model, Decoding(max_tokens=6), PROMPTS)
    completer.model.double()  # in float32 the rounding of another batch shape can turn a draw
    together = completer(tasks, 5, seed=3)
    assert completer(tasks[7:8], 1, seed=3, first=4) == [[together[7][4]]]
    assert completer(tasks[:2], 2, seed=3, first=1) == [group[1:3] for group in together[:2]]
    assert len({tuple(group) for group in together}) > 6


def test_a_prompt_that_fills_the_context_is_told_and_room_ends_a_completion(model: Path):
    tasks = [Task("exact", "sort " + "a " * n, "a") for n in (3, 40, 9)]
    completer = GenerateCompleter.load(model, Decoding(max_tokens=30), PROMPTS)
    lengths = [len(completer.tokenizer(f"{task.prompt} =>")["input_ids"]) for task in tasks]
    completer.model.config.max_position_embeddings = lengths[2] + 2
    short, long, tight = (group[0] for group in completer(tasks, 1, seed=0))
    assert (long.text, long.finish_reason, long.tokens) == ("", "prompt_too_long", 0)
    assert [c.prompt_tokens for c in (short, long, tight)] == lengths
    assert tight.tokens <= 2
    assert tight.finish_reason == "stop" or tight.truncated


def test_tokenizers_read_back_what_they_were_given():
    text = r"Let $x^2 = \frac{1}{2}$; näive → 42"
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    words = word_tokenizer([("sort c a b =>", " answer a b c <end>")])
    ids = words("sort c a b => answer unknownword <end>")["input_ids"]
    assert words.convert_ids_to_tokens(ids)[-2:] == ["<unk>", "<end>"]
    assert ids[-1] == words.eos_token_id


def test_a_judge_without_an_endpoint_is_a_model_in_this_process(model: Path, tmp_path: Path):
    tree = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "judge": {"model": str(model)}}
    job = Job(Recipe.model_validate(tree), RunDir(tmp_path))
    task = Task(kind="judge", prompt="Why is the sky blue?", gold="Rayleigh scattering")
    verdicts = job.graders.verify_many([task, task], ["Because light scatters.", ""])
    assert [v.correct for v in verdicts] == [None, False]  # babble is no verdict; silence is wrong
    assert verdicts[0].status == "ok"
