"""Standard input under its other names: `open(0)`, `/dev/stdin` and `/dev/fd/0`."""

import pytest

from ttc_rl.verifiers.sandbox import Job, Sandbox, Trial

NAMES = ["0", "'/dev/stdin'", "'/dev/fd/0'"]


def outputs(sandbox: Sandbox, program: str, *texts: str) -> list[bytes]:
    results = sandbox.run(Job(program, [Trial("stdin", text) for text in texts])).results
    assert [result.status for result in results] == ["ok"] * len(texts), results
    return [result.output for result in results]


@pytest.mark.parametrize("name", NAMES)
def test_each_test_reads_its_own_input(sandbox: Sandbox, name: str):
    program = f"print(open({name}).read(), end='')"
    long, short = "a longer line\nand a second\n", "short"
    assert outputs(sandbox, program, long, short, "") == [long.encode(), short.encode(), b""]


def test_numpy_and_unusual_characters(sandbox: Sandbox):
    pytest.importorskip("numpy")
    program = "import numpy\nprint(numpy.fromfile('/dev/stdin', sep=' ').sum())"
    assert outputs(sandbox, program, "1 2\n3\n") == [b"6.0\n"]
    assert outputs(sandbox, "print(open('/dev/stdin').read())", "é\r\n") == ["é\n\n".encode()]


def test_a_called_function_finds_no_input_of_another_test(sandbox: Sandbox):
    program = "def f():\n    return open('/dev/stdin').read()"
    trials = [Trial("stdin", "not for you"), Trial("value", "f()")]
    assert sandbox.run(Job(program, trials)).results[1].value == ""


SPOIL = """
import os, sys
attempts = []
for name in ["/dev/stdin", "/dev/fd/0"]:
    attempts += [
        lambda name=name: os.unlink(name),
        lambda name=name: os.rename(name, "/dev/fd/1"),
        lambda name=name: os.chmod(name, 0o777),
        lambda name=name: os.link(name, "/dev/fd/1"),
        lambda name=name: open(name, "w").write("forged"),
        lambda name=name: open(name, "r+").write("forged"),
    ]
attempts += [
    lambda: os.chmod("/dev/fd", 0o777),
    lambda: os.mkdir("/dev/fd/1"),
    lambda: os.symlink("/scratch", "/dev/fd/2"),
    lambda: os.rename("/dev/fd", "/scratch/fd"),
]
if sys.stdin.read() == "first":
    for number, attempt in enumerate(attempts):
        try:
            attempt()
        except OSError:
            continue
        print(number, end=" ")
else:
    print(open("/dev/stdin").read(), end="")
"""


def test_no_program_can_change_the_input_of_the_next(sandbox: Sandbox):
    first, second = outputs(sandbox, SPOIL, "first", "second")
    assert second == b"second"
    if sandbox.kind == "bubblewrap":  # elsewhere /dev/stdin is the process's own copy
        assert first == b""


def test_bubblewrap_still_has_no_proc(sandbox: Sandbox):
    if sandbox.kind != "bubblewrap":
        pytest.skip("Landlock shows names and hides contents")
    program = "import os\nprint(os.path.lexists('/proc'), os.listdir('/dev/fd'))"
    assert outputs(sandbox, program, "") == [b"False ['0']\n"]
