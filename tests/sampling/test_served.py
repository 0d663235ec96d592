"""Completions from a real HTTP server that fails, stalls and lies."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer

from ttc_rl.config import EngineConfig
from ttc_rl.run_dir import read_jsonl
from ttc_rl.sampling import Decoding, load_completer
from ttc_rl.sampling.drawing import Drawing, draw
from ttc_rl.sampling.served import ServedCompleter
from ttc_rl.schema import Task, Undrawn, UserError, sample_seed

TASKS = [Task("math", f"What is {i}+{i}?", str(2 * i)) for i in range(6)]
Reply = tuple[int, Any]


def honest(body: dict[str, Any], **changes: Any) -> Reply:
    """Right for even seeds, as a model would be for some."""
    number = int(body["messages"][0]["content"].split("+")[0].rpartition(" ")[2])
    text = rf"\boxed{{{2 * number + body['seed'] % 2}}}"
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    usage = {"completion_tokens": 5, "prompt_tokens": 9}
    return 200, {"choices": [choice], "usage": usage, "model": body["model"]} | changes


class Server(ChatServer):
    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], Reply] = honest
        super().__init__()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body | {"path": path} for path, body, _ in self.requests]

    def respond(self, body: dict[str, Any]) -> tuple[int, bytes]:
        status, value = self.reply(body)
        return status, value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def completer(server: Server, **changes: Any) -> ServedCompleter:
    tree = {"backend": "endpoint", "url": server.url, "served": {"base": "org/m"}, "timeout": 1.0}
    config = EngineConfig.model_validate(tree | changes)
    made = load_completer("org/m", {}, config).decoding_with(Decoding(64, 0.6, 0.95))
    assert isinstance(made, ServedCompleter)
    made.endpoint.tries, made.endpoint.pause = 3, 0.01
    return made


def test_each_completion_is_asked_with_its_own_seed_and_comes_in_order(server: Server):
    server.reply = lambda body: (time.sleep(0.01 * (body["seed"] % 3)), honest(body))[1]
    groups = completer(server, concurrency=4)(TASKS, 3, seed=7, first=2)
    for task, group in zip(TASKS, groups, strict=True):
        seeds = [sample_seed(7, task.id, i) for i in (2, 3, 4)]
        expected = [rf"\boxed{{{int(task.gold or 0) + seed % 2}}}" for seed in seeds]
        assert [c.text for c in group] == expected
        assert {(c.finish_reason, c.tokens, c.prompt_tokens) for c in group} == {("stop", 5, 9)}
    assert 1 < server.most_at_once <= 4
    body = server.bodies[0]
    assert (body["path"], body["model"], body["n"]) == ("/v1/chat/completions", "org/m", 1)
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.6, 0.95, 64)


def test_a_base_model_is_asked_without_a_chat(server: Server):
    def plain(body: dict[str, Any]) -> Reply:
        choice = {"text": body["prompt"][:7], "finish_reason": "length"}
        return 200, {"choices": [choice], "usage": {"completion_tokens": 64}}

    server.reply = plain
    found = completer(server, chat=False)(TASKS[:1], 1, seed=0)[0][0]
    assert (found.text, found.truncated) == ("What is", True)
    assert server.bodies[0]["path"] == "/v1/completions"


def test_reasoning_that_the_server_took_out_is_put_back(server: Server):
    message = {"content": r"\boxed{4}", "reasoning_content": "two and two"}
    server.reply = lambda body: honest(
        body, choices=[{"message": message, "finish_reason": "stop"}]
    )
    text = completer(server)(TASKS[:1], 1, seed=0)[0][0].text
    assert text == r"<think>two and two</think>\boxed{4}"


LIES = {
    "not JSON": (200, b"<html>"),
    "no object": (200, []),
    "should hold one choice": (200, {"choices": []}),
    "finish_reason None, not": {"choices": [{"message": {"content": "x"}, "finish_reason": None}]},
    "without text": {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]},
    "900 tokens reported, 64 allowed": {"usage": {"completion_tokens": 900}},
    "None tokens reported": {"usage": None},
    "model 'other' answered, 'org/m' was requested": {"model": "other"},
    "HTTP 500": (500, b"broken"),
}


@pytest.mark.parametrize("told", LIES)
def test_a_lie_is_asked_again_and_never_becomes_a_completion(server: Server, told: str):
    lie = LIES[told]
    server.reply = lambda body: lie if isinstance(lie, tuple) else honest(body, **lie)
    with pytest.raises(UserError, match=r"1 of 1 completions could not be had") as error:
        completer(server)(TASKS[:1], 1, seed=0)
    assert told in str(error.value)
    assert len(server.bodies) == 3
    server.reply = lambda body: (
        lie if len(server.bodies) == 4 and isinstance(lie, tuple) else (honest(body))
    )
    assert completer(server)(TASKS[:1], 1, seed=0)[0][0].finish_reason == "stop"


def test_a_key_that_is_refused_stops_at_once(server: Server):
    server.reply = lambda body: (401, b"who are you?")
    with pytest.raises(Undrawn, match="HTTP 401"):
        completer(server, concurrency=1)(TASKS, 4, seed=0)
    assert len(server.bodies) == 1


def test_a_server_that_stalls_costs_its_time_limit(server: Server):
    slow = sample_seed(0, TASKS[1].id, 0)
    server.reply = lambda body: (body["seed"] == slow and time.sleep(3), honest(body))[1]
    began = time.monotonic()
    with pytest.raises(Undrawn, match=r"1 of 6 .*took too long") as error:
        completer(server, timeout=0.3)(TASKS, 1, seed=0)
    assert time.monotonic() - began < 3
    assert [group[0] is None for group in error.value.groups] == [i == 1 for i in range(6)]


def too_long(body: dict[str, Any]) -> Reply:
    told = b'{"message": "This model\'s maximum context length is 16 tokens."}'
    return (400, told) if "3+3" in body["messages"][0]["content"] else honest(body)


def test_a_prompt_that_does_not_fit_is_told_and_the_others_go_on(server: Server):
    server.reply = too_long
    found = [group[0] for group in completer(server)(TASKS, 1, seed=0)]
    assert [c.finish_reason == "prompt_too_long" for c in found] == [i == 3 for i in range(6)]


def test_too_many_tokens_asked_is_no_fault_of_the_prompt(server: Server):
    server.reply = lambda body: too_long(body) if body["max_tokens"] > 1 else honest(body)
    with pytest.raises(Undrawn, match=r"eval\.max_tokens: 64 and a prompt are more than there is"):
        completer(server)(TASKS, 1, seed=0)


def test_an_evaluation_survives_a_bad_hour_and_ends_as_without_it(server: Server, tmp_path: Path):
    """A third of the replies fail in every way there is; a second call draws what is lacking."""
    faults = [lie if isinstance(lie, tuple) else (200, lie) for lie in LIES.values()]
    bad = Drawing("sums", TASKS, 8, tmp_path / "bad.jsonl", seed=1)

    def moody(body: dict[str, Any]) -> Reply:
        number = len(server.bodies)
        return faults[number % len(faults)] if body["seed"] % 3 == 0 else honest(body)

    server.reply = moody
    with pytest.raises(UserError, match=r"completions are lacking; evaluate again to draw them"):
        draw(completer(server), bad, batch=16)
    kept = list(read_jsonl(bad.path))
    assert 0 < len(kept) < 48
    assert all(row["seed"] % 3 for row in kept)
    server.reply = honest
    server.requests.clear()
    draw(completer(server), bad, batch=16)
    assert len(server.bodies) == 48 - len(kept)
    good = Drawing("sums", TASKS, 8, tmp_path / "good.jsonl", seed=1)
    draw(completer(server), good, batch=16)
    assert sorted(bad.path.read_text().splitlines()) == sorted(good.path.read_text().splitlines())
