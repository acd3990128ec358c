"""One self-contained HTML file from one or several evaluated run directories."""

from subgrid.reporting.page import report, verdict_of

__all__ = ["report", "verdict_of"]
