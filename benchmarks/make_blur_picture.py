"""The picture of docs/verification.md: a blurred field wins RMSE and loses the spectrum.

Draws docs/images/blur_wins_rmse.png and writes its caption, with computed numbers, between the two comments of
docs/verification.md that hold its place.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from subgrid.data.synthetic.simulate import simulate
from subgrid.scores import compute_statistics, power_spectrum, scores_from_statistics

DOCS = Path(__file__).parents[1] / "docs"
SHIFT_CELLS = 2
BLUR_CELLS = 2.0
CELLS = 128
NAMES = (
    "rmse",
    "mae",
    "psnr",
    "ssim",
    "high_wavenumber_power_ratio",
    "log_spectral_distance",
    "gradient_magnitude_ratio",
    "quantile_error_0.99",
)
STYLES = {"truth": ("#000000", 2.2), "blurred": ("#0072B2", 1.6), "displaced": ("#D55E00", 1.6)}


def fields() -> dict[str, np.ndarray]:
    """Truth and two predictions, (time, y, x), m/s: the eastward wind, a Gaussian mean of it, and the same moved east."""
    wide = simulate(num_times=8, num_latitudes=CELLS, num_longitudes=CELLS + 2 * SHIFT_CELLS, step_hours=48, seed=4)
    wind = wide["u10"].values.astype(np.float64)
    return {
        "truth": wind[:, :, SHIFT_CELLS:-SHIFT_CELLS],
        "blurred": gaussian_filter(wind, (0, BLUR_CELLS, BLUR_CELLS), mode="nearest")[:, :, SHIFT_CELLS:-SHIFT_CELLS],
        "displaced": wind[:, :, : -2 * SHIFT_CELLS],
    }


def scores(made: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Scores of the two predictions."""
    span = float(np.ptp(made["truth"]))
    return {
        name: scores_from_statistics(
            compute_statistics(made[name], made["truth"], names=NAMES, data_range=span, factor=4)
        )
        for name in ("blurred", "displaced")
    }


def draw(made: dict[str, np.ndarray], found: dict[str, dict[str, float]]) -> Figure:
    """Three maps of one time, and the spectra of all."""
    figure = Figure(figsize=(10.5, 3.3), layout="constrained", facecolor="white")
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.25))
    bound = float(np.abs(made["truth"][-1]).max())
    for ax, (name, field) in zip(axes, made.items(), strict=False):
        ax.imshow(field[-1], cmap="RdBu_r", vmin=-bound, vmax=bound)
        ax.set_xticks([])
        ax.set_yticks([])
        said = f"\nRMSE {found[name]['rmse']:.2f} m s⁻¹" if name in found else "\neastward wind at 10 m"
        ax.set_title(name + said, fontsize=10)
    for name, field in made.items():
        wavenumber, power = power_spectrum(field)
        colour, width = STYLES[name]
        dash = "--" if name == "displaced" else "-"
        axes[3].loglog(1 / wavenumber, power.mean(0), dash, color=colour, linewidth=width, label=name)
    axes[3].invert_xaxis()
    axes[3].set_xlabel("wavelength (cells)", fontsize=9)
    axes[3].set_title("power spectral density, m² s⁻²", fontsize=10)
    axes[3].tick_params(labelsize=8)
    axes[3].legend(fontsize=8, frameon=False)
    return figure


def caption(found: dict[str, dict[str, float]]) -> str:
    """What is to be seen, in numbers."""
    rows = [f"| {name} | {found['blurred'][name]:.3f} | {found['displaced'][name]:.3f} |" for name in found["blurred"]]
    blurred, displaced = found["blurred"], found["displaced"]
    kept = [100 * scores["high_wavenumber_power_ratio"] for scores in (blurred, displaced)]
    text = (
        f"*Simulated eastward wind (m/s, {CELLS} x {CELLS} cells, 8 times), the same blurred by a Gaussian of "
        f"{BLUR_CELLS:g} cells, and the same, sharp, {SHIFT_CELLS} cells too far east. The blurred field has the lower "
        f"RMSE ({blurred['rmse']:.2f} against {displaced['rmse']:.2f} m/s) and keeps {kept[0]:.1g} % of the power at "
        f"wavelengths under 8 cells; the displaced one keeps {kept[1]:.0f} %.*"
    )
    return "\n".join([text, "", "| score | blurred | displaced |", "| --- | --- | --- |", *rows])


def main() -> None:
    made = fields()
    found = scores(made)
    blurred, displaced = found["blurred"], found["displaced"]
    if not (
        blurred["rmse"] < displaced["rmse"] and blurred["log_spectral_distance"] > displaced["log_spectral_distance"]
    ):
        raise SystemExit(f"the blurred field does not win RMSE and lose the spectrum: {found}")
    draw(made, found).savefig(DOCS / "images" / "blur_wins_rmse.png", dpi=110, metadata={"Software": None})
    page = DOCS / "verification.md"
    text, count = re.subn(
        r"(?<=<!-- blur -->\n).*?(?=\n<!-- /blur -->)", lambda _: caption(found), page.read_text(), flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{page.name} holds {count} places for the caption; expected one, between two comments")
    page.write_text(text)
    print(caption(found))


if __name__ == "__main__":
    main()
