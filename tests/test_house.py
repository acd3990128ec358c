"""The rules of the house that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import subgrid
from subgrid.config.files import load_recipe, recipe_names
from subgrid.config.schema import load_config
from subgrid.losses import ADVERSARIAL, DISCRIMINATOR_LOSSES, LOSSES
from subgrid.models import DISCRIMINATORS, GENERATORS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(subgrid.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]


def committed() -> list[Path]:
    """Text files of the project, without what git ignores and the working contract."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    names = [name for name in done.stdout.splitlines() if name not in {"CONTRACT.md", "tests/test_house.py"}]
    return [ROOT / name for name in names if (ROOT / name).suffix in {".py", ".toml", ".md", ".txt", ".yml", ".j2", ""}]


def test_layers() -> None:
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as go; go(['--no-cache'])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_code_rules(name: str) -> None:
    text = (PACKAGE / name).read_text(encoding="utf-8")
    tree = ast.parse(text)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    printed = [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]
    assert not printed or name in {"io/console.py", "cli.py"}
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not {"pickle", "cloudpickle", "dill", "joblib"} & {module.split(".")[0] for module in imported}
    loads = [f for f in calls if isinstance(f, ast.Attribute) and f.attr == "load" and isinstance(f.value, ast.Name)]
    unpickled = [f.value.id for f in loads if f.value.id in {"torch", "pickle"}]  # type: ignore[attr-defined]
    assert unpickled == (["torch"] if name == "pretrained.py" else [])  # tests/test_pretrained.py: of tensors alone
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 70}
    assert long == {}


def test_numpy_never_unpickles() -> None:
    assert [path.name for path in MODULES if re.search(r"allow_pickle\s*=\s*True", path.read_text())] == []


def test_no_machine_in_the_tree() -> None:
    places = re.compile(r"/(?:work|tmp|home|mnt|root)/|localhost|127\.0\.0\.1")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in committed()
        for line in path.read_text(encoding="utf-8").splitlines()
        if places.search(line)
    ]
    assert found == []


@pytest.mark.slow
def test_the_package_fetches_nothing() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if {"urllib", "requests", "httpx", "socket", "http"} & {name.split(".")[0] for name in names}:
                    found.append(path.name)
    assert found == []


def test_recipes_and_templates_are_in_the_package() -> None:
    root = resources.files("subgrid")
    assert {"srgan", "bilinear", "bicubic", "published/srgan"} <= set(recipe_names())
    for name in recipe_names():
        assert (root / "recipes" / f"{name}.toml").is_file()
    assert [p.name for p in (root / "reporting" / "templates").iterdir() if p.name.endswith(".j2")]
    assert (root / "py.typed").is_file()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_what_it_is(name: str) -> None:
    config = load_config({"system": name, "data": {"variables": ["t2m"]}})
    assert config.system == name
    assert len(load_recipe(name)["summary"]) > 20
    assert config.family in {"baseline", "sound", "published"}
    assert config.generator.name in GENERATORS
    assert config.discriminator is None or config.discriminator.name in DISCRIMINATORS
    assert set(config.losses) <= {*LOSSES, *DISCRIMINATOR_LOSSES}
    assert set(config.content.losses) <= set(LOSSES)
    if config.adversarial:
        assert config.losses["adversarial"].options["kind"] in ADVERSARIAL
