"""The tables of docs/findings.md, from finished studies.

python benchmarks/make_findings.py STUDY_FOLDER [STUDY_FOLDER ...]
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from subgrid.studies.gather import Gathered, gather

SCORES = {"rmse": "RMSE", "psnr": "PSNR, dB", "ssim": "SSIM", "log_spectral_distance": "log spectral distance, dB"}
MARKS = {"better": "**better**", "worse": "**worse**", "not told apart": "~", "differs": "differs"}


def number(value: float, digits: int) -> str:
    """With a sign that print knows, and no zero before the point."""
    return re.sub(r"^(−?)0\.", r"\1.", f"{value:.{digits}f}".replace("-", "−"))


def cell(row: Mapping[str, Any] | None, digits: int, reference: bool) -> str:
    """Mean ± spread of the reference; difference, interval and verdict of the others."""
    if row is None or math.isnan(row["mean"]):
        return ""
    mean = number(row["mean"], digits)
    if not reference and math.isnan(row["difference"]):
        return "not comparable"  # results.csv says why
    if reference:
        return mean if math.isnan(row["spread"]) else f"{mean} ± {number(row['spread'], digits)}"
    gap = f"{'+' if row['difference'] >= 0 else ''}{number(row['difference'], digits)}"
    if math.isnan(row["lower"]):
        return f"{gap} (no interval)"
    return f"{gap} ({number(row['lower'], digits)} .. {number(row['upper'], digits)}) {MARKS.get(row['verdict'], '')}".strip()


def tables(found: Gathered) -> str:
    """A table a variable: the reference's own scores, the other arms' differences to them."""
    out = []
    results = found.results
    for variable, rows in results[results["score"].isin(SCORES)].groupby("variable", sort=False):
        if rows["score"].nunique() < len(SCORES):
            continue
        units = rows.loc[rows["score"] == "rmse", "units"].iloc[0]
        head = [f"{title}, {units}" if score == "rmse" else title for score, title in SCORES.items()]
        out.append(f"\n`{variable}`\n\n| arm | {' | '.join(head)} |\n|{' --- |' * (len(head) + 1)}")
        order = rows[rows["score"] == "rmse"].sort_values("mean")["arm"]
        for arm in [found.reference, *(one for one in order if one != found.reference)]:
            by_score = {str(row["score"]): row for row in rows[rows["arm"] == arm].to_dict("records")}
            cells = [cell(by_score.get(score), 4 if score == "ssim" else 3, arm == found.reference) for score in SCORES]
            out.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(out)


def main() -> None:
    """Print the tables of each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        found = gather(folder)
        runs = sum(map(len, found.runs.values()))
        print(
            f"\n## {folder.name}: {found.facts['text']}\n\n{runs} runs, budget {found.facts['budget']}\n{tables(found)}"
        )


if __name__ == "__main__":
    main()
