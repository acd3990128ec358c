"""Print the tables of docs/findings.md from finished studies, and draw its figures.

python benchmarks/make_findings.py STUDY_FOLDER [STUDY_FOLDER ...] [--picture OUT.png]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from subgrid.reporting.format_numbers import format_interval, format_number, format_spread, name_with_units
from subgrid.reporting.ranking import RANKED
from subgrid.scores import find_score
from subgrid.scores.block_length import find_breaks
from subgrid.scores.registry import ALL, TIED, WORSE
from subgrid.scores.seeds import paired_over_seeds
from subgrid.scores.statistics_file import StatisticsReader, find_statistics
from subgrid.studies.load import Gathered, gather
from subgrid.studies.paired_runs import BETTER, DIFFERS, verdict
from subgrid.studies.single_seed import is_claim, is_unsupported

SCORES = {  # title and units; the RMSE has the variable's
    "rmse": ("RMSE", ""),
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", ""),
    "log_spectral_distance": ("log spectral distance", "dB"),
}
WIDTH = 800  # pixels of the picture
MARKS = {BETTER: "**better**", WORSE: "**worse**", TIED: "~", DIFFERS: DIFFERS}


def cell(row: Mapping[str, Any] | None, decimals: int, reference: bool) -> str:
    """Format mean ± standard deviation for the reference; difference, interval and verdict for the other arms."""
    if row is None or math.isnan(row["mean"]):
        return ""
    mean = format_number(row["mean"], decimals=decimals)
    if not reference and math.isnan(row["difference"]):
        return "not comparable"  # results.csv gives the reason
    if reference:
        return f"{mean} {format_spread(row['spread'], decimals=decimals)}".rstrip()
    gap = format_number(row["difference"], decimals=decimals, signed=True)
    if math.isnan(row["lower"]):
        return f"{gap} (no interval)"
    interval = format_interval(row["lower"], row["upper"], decimals=decimals)
    return f"{gap} {interval} {MARKS.get(row['verdict'], '')}".strip()


def psnr_over_one_range(found: Gathered, arm: str, variable: str) -> dict[str, Any]:
    """Compare PSNR over the reference's data range, for an arm whose training times have another range.

    Another range adds the same constant, 20 log10(range / range), to the PSNR of every image.
    """
    rows = found.results[(found.results["variable"] == variable) & (found.results["score"] == "psnr")].set_index("arm")
    said = rows["convention"].str.extract(r"data range ([0-9.e+-]+)")[0].astype(float)
    shift = 20 * math.log10(said[found.reference] / said[arm])
    sides = []
    for name in (arm, found.reference):
        system, parts = str(found.facts["arms"][name]["config"]["system"]), []
        for run in found.runs[name].values():
            with StatisticsReader(find_statistics(run / "evaluation")) as reader:
                parts.append(reader.read((ALL, variable, "psnr"))[reader.systems.index(system)])
                breaks = find_breaks(reader.clock("second"))
        sides.append(parts)
    score = find_score("psnr")
    gap = paired_over_seeds(*sides, score.from_means, breaks=breaks)
    gap = replace(gap, value=gap.value + shift, lower=gap.lower + shift, upper=gap.upper + shift)
    said_of_it = {"verdict": verdict(gap, score, lambda: gap)}  # higher is better, so no second interval is needed
    return {"mean": rows.loc[arm, "mean"], "difference": gap.value, "lower": gap.lower, "upper": gap.upper} | said_of_it


def tables(found: Gathered) -> str:
    """Format one table per variable: the scores of the reference, and the differences of the other arms from them."""
    out = []
    results = found.results
    for variable, rows in results[results["score"].isin(SCORES)].groupby("variable", sort=False):
        if rows["score"].nunique() < len(SCORES):
            continue
        units = rows.loc[rows["score"] == "rmse", "units"].iloc[0]
        head = [
            name_with_units(title, str(units) if score == "rmse" else unit) for score, (title, unit) in SCORES.items()
        ]
        out.append(f"\n`{variable}`\n\n| arm | {' | '.join(head)} |\n|{' --- |' * (len(head) + 1)}")
        order = rows[rows["score"] == "rmse"].sort_values("mean")["arm"]
        for arm in [found.reference, *(one for one in order if one != found.reference)]:
            by_score = {str(row["score"]): row for row in rows[rows["arm"] == arm].to_dict("records")}
            if (one := by_score.get("psnr")) and one["note"].startswith("another data range"):
                by_score["psnr"] = psnr_over_one_range(found, arm, str(variable))
            cells = [cell(by_score.get(score), 4 if score == "ssim" else 3, arm == found.reference) for score in SCORES]
            out.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(out)


def single_seeds(found: Gathered) -> str:
    """Count how often a single seed reports a difference that all seeds together do not confirm, in the ranked scores."""
    table = found.tables["single_seeds"]
    table = table[table["score"].isin(RANKED)]
    counts = len(table), is_claim(table).sum(), is_unsupported(table).sum()
    return "single seeds: {} comparisons, {} report better or worse, {} of these not confirmed by all seeds".format(
        *counts
    )


def picture(folders: Sequence[Path], out: Path) -> None:
    """Stack the figures of PSNR differences of all studies into one small image."""
    drawn = [Image.open(folder / "figures" / "differences-psnr.png").convert("RGB") for folder in folders]
    scale = WIDTH / max(one.width for one in drawn)
    drawn = [
        one.resize((round(one.width * scale), round(one.height * scale)), Image.Resampling.LANCZOS) for one in drawn
    ]
    page = Image.new("RGB", (WIDTH, sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        page.paste(one, (0, top))
        top += one.height
    page.quantize(64).save(out, optimize=True)


def main() -> None:
    """Print the tables of each study folder, and stack their figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="STUDY_FOLDER", help="folder of a finished study")
    parser.add_argument("--picture", type=Path, help="write the figures of PSNR differences of all studies to this PNG")
    asked = parser.parse_args()
    if asked.picture:
        picture(asked.folders, asked.picture)
    for folder in asked.folders:
        found = gather(folder)
        runs = sum(map(len, found.runs.values()))
        print(
            f"\n## {folder.name}: {found.facts['text']}\n\n{runs} runs, budget {found.facts['budget']}\n{tables(found)}"
            f"\n\n{single_seeds(found)}"
        )


if __name__ == "__main__":
    main()
