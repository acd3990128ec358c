"""GAN super-resolution of gridded weather and climate fields: from files to fine fields, with evidence.

The commands are functions here: `check`, `init`, `settings`, `prepare`, `train`, `evaluate`, `score`, `downscale`,
`sample`, `study`, `report`, `systems`, `demo`. They load what they need when first called, so that `import subgrid` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subgrid.config.reference import settings
    from subgrid.config.schema import Config, load_config
    from subgrid.config.starting import init
    from subgrid.data.check import check
    from subgrid.data.sources.open_source import open_source
    from subgrid.data.synthetic.simulate import simulate
    from subgrid.errors import SubgridError
    from subgrid.evaluation.evaluate import evaluate
    from subgrid.evaluation.score_files import score
    from subgrid.inference.downscale import downscale
    from subgrid.inference.sample import sample
    from subgrid.networks import systems
    from subgrid.quickstart import demo
    from subgrid.studies import study
    from subgrid.studies.page import report
    from subgrid.training.prepare import prepare
    from subgrid.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "Config": "subgrid.config.schema",
    "SubgridError": "subgrid.errors",
    "check": "subgrid.data.check",
    "demo": "subgrid.quickstart",
    "downscale": "subgrid.inference.downscale",
    "evaluate": "subgrid.evaluation.evaluate",
    "init": "subgrid.config.starting",
    "load_config": "subgrid.config.schema",
    "open_source": "subgrid.data.sources.open_source",
    "prepare": "subgrid.training.prepare",
    "report": "subgrid.studies.page",
    "sample": "subgrid.inference.sample",
    "score": "subgrid.evaluation.score_files",
    "settings": "subgrid.config.reference",
    "simulate": "subgrid.data.synthetic.simulate",
    "study": "subgrid.studies",
    "systems": "subgrid.networks",
    "train": "subgrid.training.train",
}

__all__ = [
    "Config",
    "SubgridError",
    "__version__",
    "check",
    "demo",
    "downscale",
    "evaluate",
    "init",
    "load_config",
    "open_source",
    "prepare",
    "report",
    "sample",
    "score",
    "settings",
    "simulate",
    "study",
    "systems",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'subgrid' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
