"""The procedural source: disjoint splits, golds that hold, the same tasks for the same seed."""

import pytest

from ttc_rl.config import SkillsConfig
from ttc_rl.corpus.skills import SKILLS, make_skills
from ttc_rl.schema import UserError
from ttc_rl.verifiers import verify


def contents(split: str) -> set[tuple[str, str]]:
    tasks = make_skills(SkillsConfig(split=split, tasks_per_family=300))
    return {(task.meta["family"], task.meta["content"]) for task in tasks}


def test_there_are_at_least_twelve_families_and_each_is_asked_for_is_given():
    tasks = make_skills(SkillsConfig(tasks_per_family=50))
    assert len(SKILLS) >= 12
    assert len(tasks) == 50 * len(SKILLS) == len({task.id for task in tasks})


def test_no_content_is_in_two_splits():
    pretrain, train, test = contents("pretrain"), contents("train"), contents("test")
    assert not pretrain & train
    assert not train & test
    assert not pretrain & test


def test_the_same_seed_gives_the_same_tasks_and_another_seed_others():
    first, again = (make_skills(SkillsConfig(tasks_per_family=20)) for _ in range(2))
    assert first == again
    assert first != make_skills(SkillsConfig(tasks_per_family=20, seed=1))


@pytest.mark.parametrize("family", SKILLS)
def test_the_solution_is_accepted_and_silence_is_not(family: str):
    for task in make_skills(SkillsConfig(families=[family], tasks_per_family=30)):
        assert task.gold
        assert verify(task, task.meta["solution"]).correct is True
        assert verify(task, "").correct is False


def test_an_unknown_family_is_named():
    with pytest.raises(UserError, match="no skill family 'juggle'"):
        make_skills(SkillsConfig(families=["juggle"]))
