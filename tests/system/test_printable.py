"""What comes from data shows on a terminal and in Markdown, and does nothing there."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.markdown import Markdown
from rich.table import Table

from ttc_rl.system.printable import Terminal, in_markdown

CLEAR = "\x1b[2Jgone"


def shown(what: object, **how: bool) -> str:
    terminal = Terminal(width=60)
    terminal.file = io.StringIO()
    terminal.print(what, **how)
    return terminal.file.getvalue()


@pytest.mark.parametrize("markup", [True, False])
def test_control_characters_are_shown_and_not_obeyed(markup: bool):
    assert shown(CLEAR, markup=markup) == "␛[2Jgone\n"
    assert shown("a\x05b\x9bc\u202ed\x7f", markup=markup) == "a␅b�c�d␡\n"
    assert shown("two\nlines", markup=markup) == "two\nlines\n"
    assert shown("h\udcc3", markup=markup) == "h�\n"  # of a file's name in another locale


def test_a_table_and_a_document_are_safe_too():
    table = Table("a")
    table.add_row(CLEAR)
    for what in (table, Markdown(f"**{CLEAR}**")):
        assert "\x1b[2J" not in shown(what)
        assert "␛[2J" in shown(what)


def test_a_word_between_colons_stays_a_word():
    assert shown("see :smile: and :warning:", markup=False) == "see :smile: and :warning:\n"


def test_markdown_is_shown_as_it_is():
    hostile = "[x](http://evil) <img src=y> **b** `c`\n# head |"
    assert in_markdown(hostile) == (r"\[x\](http://evil) \<img src=y\> \*\*b\*\* \`c\` # head \|")
    page = shown(Markdown(in_markdown(hostile)))
    assert "[x](http://evil) <img src=y> **b** `c` # head |" in page.replace("\n", " ")


def test_a_locale_other_than_utf8_changes_nothing(tmp_path: Path):
    file = tmp_path / "häuser.jsonl"
    row = '{"kind": "exact", "prompt": "π ≈ 3 ½?", "answer": "½"}'
    file.write_text(f"{row}\n", encoding="utf-8")
    said = [
        subprocess.run(
            [sys.executable, "-c", "import sys; from ttc_rl.cli.app import main; main()",
             "corpus", str(file)],
            env={"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8", "PATH": ""},
            capture_output=True, check=True,
        ).stdout
        for locale in ("C", "C.UTF-8")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert "π ≈ 3 ½?".encode() in said[0]
