"""The site of the documents: every page is in it, it fetches nothing, a dead link stops it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "docs" / "build_site.py", out]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_there_and_the_front_page_is_the_readme(site: Path):
    pages = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert {path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")} <= pages
    front = (site / "index.html").read_text(encoding="utf-8")
    assert "Train a language model for the test it is about to take." in front
    assert (site / "docs" / "quickstart.svg").exists()
    assert (site / "recipes" / "quickstart.yaml").exists()


def test_reading_it_fetches_nothing_from_elsewhere(site: Path):
    tags = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?([^\"'\s>]+)")
    for page in site.rglob("*.html"):
        addresses = tags.findall(page.read_text(encoding="utf-8"))
        assert addresses
        assert [address for address in addresses if "//" in address] == [], page
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", text), sheet


def test_a_dead_link_stops_it(tmp_path: Path):
    for name in ("docs", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs" / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[gone](nowhere.md), [no such part](data.md#no-such-part)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
    assert "no-such-part" in done.stderr
