"""One self-contained HTML file from one or several evaluated run directories."""

from subgrid.reporting.page import report

__all__ = ["report"]
