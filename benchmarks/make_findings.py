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
from subgrid.studies.load import FinishedStudy, load_finished
from subgrid.studies.paired_runs import BETTER, DIFFERS, describe_difference
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


def psnr_over_one_range(study: FinishedStudy, arm: str, variable: str) -> dict[str, Any]:
    """Compare PSNR over the reference's data range, for an arm whose training times have another range.

    Another range adds the same constant, 20 log10(range / range), to the PSNR of every image.
    """
    rows = study.results[(study.results["variable"] == variable) & (study.results["score"] == "psnr")].set_index("arm")
    ranges = rows["convention"].str.extract(r"data range ([0-9.e+-]+)")[0].astype(float)
    shift = 20 * math.log10(ranges[study.reference] / ranges[arm])
    sides = []
    for name in (arm, study.reference):
        system, parts = str(study.facts["arms"][name]["config"]["system"]), []
        for run in study.runs[name].values():
            with StatisticsReader(find_statistics(run / "evaluation")) as reader:
                parts.append(reader.read((ALL, variable, "psnr"))[reader.systems.index(system)])
                breaks = find_breaks(reader.clock("second"))
        sides.append(parts)
    score = find_score("psnr")
    gap = paired_over_seeds(*sides, score.from_means, breaks=breaks)
    gap = replace(gap, value=gap.value + shift, lower=gap.lower + shift, upper=gap.upper + shift)
    return {"mean": rows.loc[arm, "mean"]} | describe_difference(score, lambda: gap)


def tables(study: FinishedStudy) -> str:
    """Format one table per variable: the scores of the reference, and the differences of the other arms from them."""
    out = []
    results = study.results
    for variable, rows in results[results["score"].isin(SCORES)].groupby("variable", sort=False):
        if rows["score"].nunique() < len(SCORES):
            continue
        units = rows.loc[rows["score"] == "rmse", "units"].iloc[0]
        head = [
            name_with_units(title, str(units) if score == "rmse" else unit) for score, (title, unit) in SCORES.items()
        ]
        out.append(f"\n`{variable}`\n\n| arm | {' | '.join(head)} |\n|{' --- |' * (len(head) + 1)}")
        order = rows[rows["score"] == "rmse"].sort_values("mean")["arm"]
        for arm in [study.reference, *(name for name in order if name != study.reference)]:
            by_score = {str(row["score"]): row for row in rows[rows["arm"] == arm].to_dict("records")}
            if (row := by_score.get("psnr")) and row["note"].startswith("another data range"):
                by_score["psnr"] = psnr_over_one_range(study, arm, str(variable))
            cells = [cell(by_score.get(score), 4 if score == "ssim" else 3, arm == study.reference) for score in SCORES]
            out.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(out)


def single_seeds(study: FinishedStudy) -> str:
    """Count how often a single seed reports a difference that all seeds together do not confirm, in the ranked scores."""
    table = study.tables["single_seeds"]
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
    arguments = parser.parse_args()
    if arguments.picture:
        picture(arguments.folders, arguments.picture)
    for folder in arguments.folders:
        study = load_finished(folder)
        runs = sum(map(len, study.runs.values()))
        print(
            f"\n## {folder.name}: {study.facts['text']}\n\n{runs} runs, budget {study.facts['budget']}\n{tables(study)}"
            f"\n\n{single_seeds(study)}"
        )


if __name__ == "__main__":
    main()
