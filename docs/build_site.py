"""Build the documents as a site that needs no network to read.

    python docs/build_site.py [FOLDER]        build/site where no folder is named

The pages are copied side by side as they lie in the repository, with README.md as the front page,
so that every link leads to the same file here and on GitHub. A dead link, and a page that
docs/mkdocs.yml leaves out, end it with code 1.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parent.parent
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FOLDERS = ("docs", "recipes")
NO_PAGES = ("*.py", "mkdocs.yml", "__pycache__")


def build_site(root: Path, out: Path) -> None:
    """Build the site of the documents under `root` into the folder `out`, which is emptied.

    Raises mkdocs' Abort where the build gave a warning.
    """
    with tempfile.TemporaryDirectory() as pages:
        for name in FILES:
            shutil.copy(root / name, pages)
        for name in FOLDERS:
            ignore = shutil.ignore_patterns(*NO_PAGES)
            shutil.copytree(root / name, Path(pages) / name, ignore=ignore)
        config = load_config(
            str(root / "docs" / "mkdocs.yml"), docs_dir=pages, site_dir=str(out.resolve())
        )
        build(config)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    build_site(ROOT, Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site")
