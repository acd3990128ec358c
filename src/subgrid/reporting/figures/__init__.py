"""Figures of runs and studies.

Of a run: maps, profiles, spectra, quantiles, errors by cell, hour and season, ranks, training; of generated fields a
gallery. Of a study: differences from its reference arm, training curves by arm, distortion and realism.

The static figures take arrays and tables and return `matplotlib.figure.Figure`. Only matplotlib's object interface is used, so
that no figure stays in a global list; the interactive figures of the page are Bokeh's. A system has one colour and one dash
pattern in every figure: truth black, the two interpolations green and blue, the trained system vermilion (Okabe and Ito's
palette, made for colour-blind readers; dashes carry the same information in black-and-white print); further systems differ from
these in colour, dash or both.
"""

from subgrid.reporting.figures.field_sets import gallery, histograms
from subgrid.reporting.figures.fields import maps, rmse_at
from subgrid.reporting.figures.lines import NothingToDrawError, profile, spectra
from subgrid.reporting.figures.perception_distortion import trade_off
from subgrid.reporting.figures.style import reading_order, system_styles, time_text
from subgrid.reporting.figures.variants import arm_curves, differences
from subgrid.reporting.figures.verification import error_cycle, error_map, quantile_quantile, rank_histogram

__all__ = [
    "NothingToDrawError",
    "arm_curves",
    "differences",
    "error_cycle",
    "error_map",
    "gallery",
    "histograms",
    "maps",
    "profile",
    "quantile_quantile",
    "rank_histogram",
    "reading_order",
    "rmse_at",
    "spectra",
    "system_styles",
    "time_text",
    "trade_off",
]
