"""The commands of the command line, and what it does with errors."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from importlib.metadata import version
from signal import SIGINT, SIGTERM
from typing import Annotated

import typer

from ttc_rl.cli import after, before, stages
from ttc_rl.cli.options import console, opened
from ttc_rl.schema import FULL_DISK, UserError, is_full_disk
from ttc_rl.system.printable import Terminal
from ttc_rl.system.progress import LOGGERS, shown_progress
from ttc_rl.system.tether import follow_launch

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a language model for the test it is about to take.",
    epilog="Any key of a recipe can be set on the command line: selection.size=500 seed=1",
)
COMMANDS = {
    "run": stages.run,
    "select": stages.select,
    "train": stages.train,
    "eval": stages.evaluate,
    "report": stages.report,
    "study": stages.study,
    "ttt": stages.ttt,
    "arc": stages.arc,
    "discover": stages.discover,
    "workspace": after.workspace,
    "push": after.push,
    "patch": after.patch,
    "changes": after.changes,
    "headroom": after.headroom,
    "alike": after.alike,
    "init": before.init,
    "plan": before.plan,
    "launch": before.launch,
    "score": after.score,
    "export": after.export,
    "compare": after.compare,
    "config": before.config,
    "benchmarks": before.benchmarks,
    "corpus": before.corpus,
    "embed": before.embed,
    "dedupe": before.dedupe,
    "doctor": before.doctor,
}
"""In the order of `ttc-rl --help`."""
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)


def _version(shown: bool) -> None:
    if shown:
        console.print(f"ttc-rl {version('ttc-rl')}", highlight=False)
        raise typer.Exit


def _quiet(wanted: bool) -> None:
    if wanted:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it, and end")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", callback=_quiet, help="Results alone, no progress")
    ] = False,
) -> None:
    pass


GOES_ON = "the same command goes on from there (`run` and `select` with --resume)"
_ELSEWHERE = "make it writable, or name another place (--run-dir, TTC_RL_CACHE)"
MENDABLE = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EPIPE: "whoever reads it has ended; send it to a file",
}
"""What the system refuses that is no defect of ours -> what to do."""


def main() -> None:
    """Run the command line. An error that the user can mend is one line on stderr, exit code 2."""
    handlers = {number: signal.signal(number, _stopped) for number in (SIGINT, SIGTERM)}
    try:
        follow_launch()
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  `>&-`
            _fail("standard output is closed; send it to a file, or to /dev/null")
        with shown_progress():
            app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if is_full_disk(error):
            _fail(f"{FULL_DISK}: {error}")
        if error.errno not in MENDABLE:
            raise
        where = error.filename if error.filename is not None else "standard output"
        _fail(f"{where}: {error.strerror}; {MENDABLE[error.errno]}")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stopped(number: int, _: object) -> None:
    """Say how to go on, and end as the signal asks: what was written down stays whole."""
    progress = f"{opened[-1]}: what is finished is kept; " if opened else ""
    message = f"ttc-rl: stopped by {signal.Signals(number).name}; {progress}{GOES_ON}\n"
    os.write(2, message.encode(errors="replace"))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _fail(message: str) -> None:
    Terminal(stderr=True).print(f"ttc-rl: {message}", markup=False, soft_wrap=True)
    sys.exit(2)
