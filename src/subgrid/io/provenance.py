"""Where a result came from: command, versions of the packages, git revision, platform."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("subgrid", "torch", "numpy", "xarray", "zarr", "lightning-fabric")


def describe_process(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Describe how this process was started and on what.

    Args:
        packages: names of the packages whose versions are recorded, if they are installed.

    Returns:
        The command, the versions of the packages and of Python, the git revision and the platform.
    """
    versions = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": versions | {"python": platform.python_version()},
        "git_revision": git_revision(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def git_revision() -> str:
    """Return the git revision of the working directory, with `-dirty` if it has changes; empty outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
