"""What the documentation site takes from outside docs/: the files of the repository's root, and the list of decisions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages of the site by the file of the root that they show."""


def on_config(config: Any) -> Any:
    """Add every decision to the navigation."""
    decisions = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / "adr").glob("*.md"))
    config.nav.append({"Decisions": decisions})
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Show the files of the root as pages, with their links as seen from docs/."""
    for source, page in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_links_from_root(text)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links to the files of the root into links to their pages."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in ROOT_PAGES.items():
        markdown = markdown.replace(f"](../{up}{source}", f"]({up}{target}")
    return markdown


def _links_from_root(text: str) -> str:
    """Links relative to the repository's root as links relative to docs/."""
    for source, target in ROOT_PAGES.items():
        text = text.replace(f"]({source}", f"]({target}")
    return re.sub(r"\]\(docs/", "](", text)
