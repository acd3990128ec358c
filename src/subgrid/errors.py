"""Errors that a user can act on. Their messages say what is wrong and where, what was found and expected, and the fix.

Every error of these types ends a command with one line and exit code 2. Any other exception is a bug of this program and
keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SYNONYMS = {
    "base": ("residual",),
    "sees": ("input_grid",),
    "lr": ("learning_rate",),
    "rate": ("learning_rate",),
    "learning_rate_d": ("discriminator_learning_rate",),
    "lr_d": ("discriminator_learning_rate",),
    "d_lr": ("discriminator_learning_rate",),
    "batch_size": ("batch",),
    "batchsize": ("batch",),
    "patch_size": ("patch",),
    "tile": ("patch",),
    "steps": ("updates",),
    "iterations": ("updates",),
    "epoch": ("epochs",),
    "channels": ("features",),
    "width": ("features",),
    "filters": ("features",),
    "num_features": ("features",),
    "depth": ("blocks",),
    "layers": ("blocks",),
    "num_blocks": ("blocks",),
    "normalization": ("norm",),
    "normalisation": ("norm",),
    "batch_norm": ("norm",),
    "activation": ("head", "output"),
    "kernel_size": ("head_kernel",),
    "scale": ("factor",),
    "scale_factor": ("factor",),
    "ratio": ("factor",),
    "coefficient": ("weight",),
    "lambda": ("weight",),
    "gradient_clip": ("clip_norm",),
    "grad_clip": ("clip_norm",),
    "warm_up": ("warmup",),
    "random_seed": ("seed",),
    "vars": ("variables",),
    "variable": ("variables",),
    "parameters": ("variables",),
    "average": ("ema",),
    "ema_decay": ("ema",),
}
"""Words with the same meaning as the name of a setting, by word; of several, the first that is valid is meant."""


class SubgridError(Exception):
    """A problem that the user can fix; the message says how."""


class ConfigError(SubgridError):
    """A configuration that cannot be used: an unknown key, a wrong type, or a value out of range."""


class SourceError(SubgridError):
    """A data source that cannot be read, or cannot be used as it is."""


class GridError(SubgridError):
    """A horizontal grid, or a pair of grids, that cannot be used for super-resolution."""


class RunError(SubgridError):
    """A run directory or training store that is missing, incomplete or does not fit the request."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Suggest the valid choice that a wrong word stands for, by its meaning or spelling.

    Args:
        word: what was given.
        choices: what would have been valid.

    Returns:
        `` Did you mean 'x'?`` (with a leading space) or, where nothing is close, `` Valid: a, b, c.``
    """
    names = sorted(str(choice) for choice in choices)
    close = [name for name in SYNONYMS.get(word, ()) if name in names]
    close = close or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Valid: {', '.join(names)}." if names else ""
