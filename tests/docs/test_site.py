"""The documentation site: every page is reachable, every public name is documented; `make docs` checks links and anchors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

import subgrid

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = {
    "index.md": "README.md",
    **{f"{n}.md": f"{n.upper()}.md" for n in ("architecture", "contributing", "changelog")},
}
"""Pages that docs/site_hook.py makes from files of the root."""


def leaves(nav: Any) -> list[str]:
    """The pages of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in leaves(item)]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = leaves(yaml.safe_load(text)["nav"])
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "adr"}
    assert len(listed) == len(set(listed))
    assert set(listed) == written | set(MADE)
    assert all((ROOT / source).is_file() for source in MADE.values())


def test_every_public_name_is_on_the_page_of_the_python_interface() -> None:
    shown = re.findall(r"^::: subgrid\.(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(set(subgrid.__all__) - {"__version__"})


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == subgrid.__version__
    study = citation["references"][0]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert study["title"] in readme and study["repository-code"] in readme
