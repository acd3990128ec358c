"""Studies: arms x seeds, compared in pairs."""

from subgrid.studies.plan import load_study
from subgrid.studies.screen import show_results
from subgrid.studies.studying import study

__all__ = ["load_study", "show_results", "study"]
