"""What `ttc-rl doctor` finds: programs really run in each sandbox."""

import importlib.util

import pytest

from ttc_rl import doctor


def test_every_sandbox_is_tried_and_one_that_does_not_work_comes_with_a_fix():
    found = {one.what: one for one in doctor.findings()}
    sandboxes = [one for what, one in found.items() if what.startswith("sandbox: ")]
    assert len(sandboxes) == 3
    assert all(one.fix for one in sandboxes if not one.works)
    assert found["trl"].works is True


def test_a_missing_extra_is_not_broken_but_says_how_to_get_it():
    if importlib.util.find_spec("vllm"):
        pytest.skip("vLLM is installed")
    found = {one.what: one for one in doctor.findings()}
    assert (found["vllm"].works, found["vllm"].fix) == (None, "pip install 'ttc-rl[vllm]'")


def test_versions_that_do_not_go_together_are_named():
    (pair,) = doctor._pairs({"trl": "1.16.0", "vllm": "0.33.0", "torch": "2.14.0"})
    assert (pair.works, pair.fix) == (False, "pip install 'vllm<=0.31.0'")
    (pair,) = doctor._pairs({"trl": "1.16.0", "vllm": "0.31.0", "torch": "2.13.0"})
    assert pair.works is True
