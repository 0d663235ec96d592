"""Test-time training on text: passages, bits per byte, picks, and a study that goes on."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ttc_rl.config.texts import TextStudy, load_study
from ttc_rl.corpus.passages import Passage, passages, read_passages, with_echoes
from ttc_rl.run_dir import read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages import text_study
from ttc_rl.stages.text_study import _chosen, _Drawn, outcome, run_study, tables
from ttc_rl.train.text_trainer import TextTrainer, byte_model, token_ids

TEXT = "".join(f"line {i}: the {i % 7} quick foxes jump over {i * i} dogs\n" for i in range(40))


def study(**more: object) -> TextStudy:
    keys: dict[str, object] = {
        "bytes": {"hidden": 32, "layers": 1, "mlp": 64, "steps": 4},
        "texts": ["*.txt"], "passage": 128, "store": 30, "targets": 2, "candidates": 12,
        "picks": 4, "echoes": 1, "seeds": [0, 1],
    }  # fmt: skip
    return TextStudy.model_validate(keys | more)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(24):
        (tmp_path / f"{i}.txt").write_text(TEXT.replace("quick", f"quick{i}"))
    (tmp_path / "image.txt").write_bytes(b"\xff\xfe\x00")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_passages_are_whole_lines_and_lose_nothing_but_short_ends():
    parts = list(passages(TEXT, 128))
    assert all(64 <= len(part.encode()) <= 128 for part in parts)
    assert "".join(parts) == TEXT[: sum(map(len, parts))]
    long = "é" * 500 + "\n"
    cut = list(passages(long, 100))
    assert all(len(part.encode()) <= 100 for part in cut)
    assert "".join(cut) == long[: sum(map(len, cut))]
    assert list(passages("short\n", 128)) == []


def test_no_file_is_in_two_roles_and_an_equal_passage_stands_once(texts: Path):
    found = read_passages(["*.txt"], 128)
    files = {role: {passage.file for passage in those} for role, those in found.items()}
    assert files["target"].isdisjoint(files["store"] | files["base"])
    assert files["store"].isdisjoint(files["base"])
    every = [passage.text for those in found.values() for passage in those]
    assert len(every) == len(set(every))
    assert read_passages(["package:email"], 512)["store"][0].file.startswith("package:email/")


@pytest.mark.parametrize(
    ("names", "says"),
    [(["nothing/*.txt"], "no such file"), (["package:no_such"], "no installed package"),
     (["0.txt"], "no passage of 128 bytes for the")],
)  # fmt: skip
def test_texts_that_are_not_there(texts: Path, names: list[str], says: str):
    with pytest.raises(UserError, match=says):
        read_passages(names, 128)


def test_echoes_stand_behind_the_store_and_are_almost_equal():
    store = [Passage("one two three four five", "f"), Passage("a b", "g")]
    rows, of = with_echoes(store, 2, 0)
    assert rows[:2] == store
    assert dict(of) == {2: 0, 3: 0, 4: 1, 5: 1}
    assert all(len(rows[i].text.split()) == 3 for i in (2, 3))
    assert with_echoes(store, 2, 0) == (rows, of)


def test_bits_per_byte_by_hand(cache: Path):
    config = study().bytes
    assert config is not None
    path = byte_model(config.model_copy(update={"steps": 0}), [TEXT], 0)
    trainer = TextTrainer(path, 1e-3)
    text = "héllo"
    ids = torch.tensor([token_ids(text, trainer.tokenizer)])
    assert ids.shape == (1, 7)  # a start token, and six bytes
    logits = trainer.model(input_ids=ids).logits[0].log_softmax(-1).detach()
    nats = -sum(float(logits[i, ids[0, i + 1]]) for i in range(6))
    assert trainer.bits_per_byte(text) == pytest.approx(nats / math.log(2) / 6, rel=1e-5)
    assert trainer.bits_per_byte(text) == pytest.approx(math.log2(len(trainer.tokenizer)), rel=0.1)


def test_steps_teach_and_the_model_is_put_back(cache: Path):
    config = study().bytes
    assert config is not None
    trainer = TextTrainer(byte_model(config, [TEXT], 0), 3e-3)
    target = TEXT[:128]
    bits = trainer.measured([TEXT[128:256]] * 8, target, [0, 1, 8])
    assert bits[8] < bits[1] < bits[0]
    assert trainer.bits_per_byte(target) == bits[0]
    assert trainer.measured([TEXT[128:256]] * 8, target, [0, 1, 8]) == bits


def test_nearest_repeats_itself_where_sift_does_not():
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(6, 8)) + 4 * np.eye(8)[0]
    store_ND = np.repeat(distinct, 3, axis=0) + 1e-3 * rng.normal(size=(18, 8))
    store_ND /= np.linalg.norm(store_ND, axis=1, keepdims=True)
    target_MD = np.eye(8)[:1]
    store = [Passage(str(i), "f") for i in range(18)]
    drawn = _Drawn([Passage("t", "f")], store, {}, target_MD, store_ND)
    picks = {arm: rows for _, arm, rows in _chosen(study(candidates=18), drawn, 0)}
    origins = {arm: {row // 3 for row in rows} for arm, rows in picks.items()}
    assert len(origins["sift"]) == 4 > len(origins["nearest"])
    assert picks["nearest"] == np.argsort(-store_ND[:, 0])[:4].tolist()
    again = {arm: rows for _, arm, rows in _chosen(study(candidates=18), drawn, 0)}
    assert picks == again


def test_a_study_goes_on_where_it_stopped_and_says_the_same(
    texts: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = run_study(study(), texts / "whole")
    rows = texts / "whole" / "ttt.jsonl"
    kept = rows.read_text().splitlines()
    assert len(kept) == 2 * 2 * 3
    rows.write_text("\n".join(kept[:5]) + '\n{"seed": 1, "tar')
    calls: list[int] = []
    real = text_study.append_jsonl
    monkeypatch.setattr(
        text_study, "append_jsonl", lambda *a, **k: (calls.append(1), real(*a, **k))
    )
    assert run_study(study(), texts / "whole") == whole
    assert len(calls) == 7
    assert len({json.dumps(row, sort_keys=True) for row in read_jsonl(rows)}) == 12
    page = tables(whole)
    assert "4 targets" in page
    assert "sift - nearest" in page
    with pytest.raises(UserError, match="holds another study"):
        run_study(study(noise=0.5), texts / "whole")


def test_the_outcome_is_paired_over_targets():
    rows = [
        {"seed": seed, "target": n, "arm": arm, "repeats": 0.5 * (arm == "nearest"),
         "bits": {"0": 2.0, "1": 1.9, "2": 1.8, "4": 2.0 * share + 0.2 * n}}
        for seed in (0, 1) for n in (0, 1)
        for arm, share in (("random", 0.9), ("nearest", 0.8), ("sift", 0.7))
    ]  # fmt: skip
    found = outcome(study(), rows)
    assert found.targets == 4
    assert found.base.value == 2
    assert found.arms["sift"][4].value == pytest.approx(0.75)
    assert found.differences["sift - nearest"].value == pytest.approx(-0.1)
    assert found.repeats == {"random": 0, "nearest": 0.5, "sift": 0}


def test_the_studies_that_come_along_can_be_read():
    assert [load_study(path).texts for path in sorted(Path("recipes/text").glob("*.yaml"))]


def test_a_study_that_cannot_be_is_one_line(tmp_path: Path):
    path = tmp_path / "s.yaml"
    for text, says in (
        ("texts: [a]\n", "model: name one, or a `bytes:` block"),
        ("model: m\ntexts: [a]\npickz: 3\n", "pickz: unknown key; did you mean picks?"),
        ("model: m\ntexts: [a]\npicks: 9\ncandidates: 3\n", "picks: 9 of 3 candidates"),
        ("model: m\n", "texts: Field required"),
    ):
        path.write_text(text)
        with pytest.raises(UserError) as error:
            load_study(path)
        assert says in str(error.value)
        assert "\n" not in str(error.value)
    path.write_text("model: m\ntexts: [a]\n")
    assert load_study(path, ["picks=5", "embed.model=x"]).picks == 5
