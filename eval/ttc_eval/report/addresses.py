"""Where the pages of a report lie: report.html links to them, and they link to one another."""

from __future__ import annotations

from urllib.parse import quote

FOLDER = "pages/"
"""In front of an address that report.html links to."""
REPORT = "../report.html"
"""The report, for the pages."""
TASKS = "tasks.html"
"""The page that finds a task."""


def task_page(number: int) -> str:
    """Return the address of a task's page; tasks are numbered from 1, in the benchmark's order."""
    return f"task-{number:04d}.html"


def curriculum_page(part: str) -> str:
    """Return the address of the page of an arm, or of one of its experts (`ARM/EXPERT`)."""
    return quote(curriculum_file(part))


def curriculum_file(part: str) -> str:
    return f"curriculum-{part.replace('/', '-')}.html"
