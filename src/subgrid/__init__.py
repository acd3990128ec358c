"""GAN super-resolution of gridded weather and climate fields: from files to fine fields, with evidence.

The verbs of the command line are functions here: `check`, `prepare`, `train`, `evaluate`, `score`, `downscale`,
`sample`, `study`, `report`, `systems`, `demo`. They load what they need when first called, so that `import subgrid` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subgrid.catalogue import systems
    from subgrid.config import Config, load_config
    from subgrid.data.inspect import check
    from subgrid.data.simulate import simulate
    from subgrid.data.source import open_source
    from subgrid.downscaling import downscale
    from subgrid.errors import SubgridError
    from subgrid.evaluation import evaluate
    from subgrid.preparation import prepare
    from subgrid.quickstart import demo
    from subgrid.sampling import sample
    from subgrid.scoring import score
    from subgrid.studies import study
    from subgrid.studies.showing import report
    from subgrid.training import train

__version__ = "0.1.0"

_HOMES = {
    "Config": "subgrid.config",
    "SubgridError": "subgrid.errors",
    "check": "subgrid.data.inspect",
    "demo": "subgrid.quickstart",
    "downscale": "subgrid.downscaling",
    "evaluate": "subgrid.evaluation",
    "load_config": "subgrid.config",
    "open_source": "subgrid.data.source",
    "prepare": "subgrid.preparation",
    "report": "subgrid.studies.showing",
    "sample": "subgrid.sampling",
    "score": "subgrid.scoring",
    "simulate": "subgrid.data.simulate",
    "study": "subgrid.studies",
    "systems": "subgrid.catalogue",
    "train": "subgrid.training",
}

__all__ = [
    "Config",
    "SubgridError",
    "__version__",
    "check",
    "demo",
    "downscale",
    "evaluate",
    "load_config",
    "open_source",
    "prepare",
    "report",
    "sample",
    "score",
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
