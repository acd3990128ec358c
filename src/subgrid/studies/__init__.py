"""Studies: controlled ablations over several seeds, with each arm compared with a reference arm in pairs."""

from subgrid.studies.plan import load_study
from subgrid.studies.run_study import study
from subgrid.studies.terminal import show_results

__all__ = ["load_study", "show_results", "study"]
