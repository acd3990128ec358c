"""The CF history of generated fields."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from subgrid.run import Run


def history_line(run: Run, action: str, weights: str) -> str:
    """Return a line for the CF attribute `history`.

    Args:
        run: the run whose generator was used.
        action: what was done, such as "super-resolved with factor 4".
        weights: which weights, as `describe_weights` says it.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    data = run.provenance["fingerprint"][:12]
    return f"{now} subgrid {version('subgrid')}: {action} by {run.config.system} ({weights}, trained on data {data})"
