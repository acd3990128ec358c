"""Fabricates a run directory that obeys the layout written by `train` and `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from subgrid.scores import compute_statistics, find_score, power_spectrum, scores_from_statistics

Fields = npt.NDArray[np.float64]


def smooth(rng: np.random.Generator, shape: tuple[int, int, int], slope: float) -> Fields:
    """Random fields (time, y, x) of unit variance whose amplitude falls as wavenumber to `-slope`."""
    wave = np.hypot(np.fft.fftfreq(shape[1])[:, None], np.fft.rfftfreq(shape[2]))
    wave[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * wave**-slope
    fields = np.fft.irfft2(spectrum, s=shape[1:])
    return fields / fields.std(axis=(1, 2), keepdims=True)


def blur(fields: Fields, cutoff: float) -> Fields:
    """Take the waves shorter than `1 / cutoff` cells down by a Gaussian roll-off."""
    wave = np.hypot(np.fft.fftfreq(fields.shape[1])[:, None], np.fft.rfftfreq(fields.shape[2]))
    return np.fft.irfft2(np.fft.rfft2(fields) * np.exp(-((wave / cutoff) ** 2)), s=fields.shape[1:])


def make_samples(
    shape: tuple[int, int] = (48, 64),
    *,
    system: str = "srgan",
    skill: float = 1.0,
    factor: int = 4,
    times: int = 3,
    latitude: tuple[float, float] = (62.0, 48.0),
    longitude: tuple[float, float] = (-10.0, 8.0),
    seed: int = 0,
) -> xr.Dataset:
    """Samples of t2m (K) and u10 (m s-1); `skill` over 1 puts the system's error under bicubic's."""
    rng = np.random.default_rng(seed)
    y, x = np.linspace(*latitude, shape[0]), np.linspace(*longitude, shape[1])
    when = np.datetime64("2018-10-12T06:00", "ns") + np.arange(times) * np.timedelta64(24, "h")
    names = ["truth", "bilinear", "bicubic", system]
    truths = {
        "t2m": 273.15 + 28 * np.cos(np.deg2rad(y))[:, None] + 4 * smooth(rng, (times, *shape), 1.9),
        "u10": 6 * smooth(rng, (times, *shape), 1.6),
    }
    about = {"t2m": ("K", "2 metre temperature"), "u10": ("m s-1", "10 metre eastward wind")}
    data: dict[str, xr.DataArray] = {}
    for name, truth in truths.items():
        rough = truth.mean() + blur(truth - truth.mean(), 0.11)
        cubic = truth.mean() + blur(truth - truth.mean(), 0.15)
        rough, cubic = rough + 0.02, cubic - 0.01  # a bias, as real systems have
        ours = truth + (cubic - truth) / skill
        units, long_name = about[name]
        attrs = {"units": units, "long_name": long_name}
        stack = np.stack([truth, rough, cubic, ours]).astype(np.float32)
        data[name] = xr.DataArray(stack, dims=("system", "valid_time", "latitude", "longitude"), attrs=attrs)
        cells = truth.reshape(times, shape[0] // factor, factor, shape[1] // factor, factor).mean((2, 4))
        dims = ("valid_time", "latitude_coarse", "longitude_coarse")
        data[f"{name}_coarse"] = xr.DataArray(cells.astype(np.float32), dims=dims, attrs=attrs)
    coords: dict[str, Any] = {"system": names, "valid_time": when, "latitude": y, "longitude": x}
    coords["latitude_coarse"] = y.reshape(-1, factor).mean(1)
    coords["longitude_coarse"] = x.reshape(-1, factor).mean(1)
    return xr.Dataset(data, coords)


def make_spectra(samples: xr.Dataset, factor: int = 4) -> xr.Dataset:
    """Mean spectra of the samples, as `evaluate` writes them."""
    data, wavelength = {}, np.ones(0)
    for name in ("t2m", "u10"):
        rows = []
        for system in samples["system"].values:
            wave, power = power_spectrum(samples[name].sel(system=system).values)
            rows.append(power.mean(axis=0))
        wavelength = 1.0 / wave
        attrs = {"units": f"({samples[name].attrs['units']})^2"}
        data[name] = (("system", "wavelength"), np.stack(rows), attrs)
    coords = {"system": samples["system"].values, "wavelength": ("wavelength", wavelength, {"units": "cells"})}
    return xr.Dataset(data, coords, attrs={"factor": factor})


NAMES = ("psnr", "ssim", "rmse", "mae", "bias", "high_wavenumber_power_ratio", "log_spectral_distance")
FURTHER = ("gradient_rmse", "wasserstein", "fss_280_w5")
COLUMNS = ["system", "variable", "score", "value", "lower", "upper", "units", "group", "rank", "convention"]


def make_scores(samples: xr.Dataset, factor: int = 4, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """The scores table of the samples, in long form; from two times on with intervals and ranks."""
    rows = []
    for variable in ("t2m", "u10"):
        truth = samples[variable].sel(system="truth").values
        span = float(np.ptp(truth))
        given = {"data_range": span, "factor": factor, "low": float(truth.min()), "high": float(truth.max())}
        for system in samples["system"].values[1:]:
            field = samples[variable].sel(system=system).values
            parts = compute_statistics(field, truth, names=names, **given)
            for name, value in scores_from_statistics(parts).items():
                score = find_score(name)
                each = [float(score.from_means(part)) for part in parts[name]]
                lower, upper = (min(each), max(each)) if len(each) > 1 else (np.nan, np.nan)
                units = score.units_for(samples[variable].attrs["units"])
                said = score.describe(**given)
                rows.append((str(system), variable, name, value, lower, upper, units, "all", "", said))
    return ranked(pd.DataFrame(rows, columns=COLUMNS))


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a rank in each row: here by overlap of the intervals."""
    table = table.copy()
    for (_, score, _), rows in table.groupby(["variable", "score", "group"]):
        first = abs(rows["value"] - find_score(score).best).idxmin()
        apart = (rows["lower"] > rows["upper"][first]) | (rows["upper"] < rows["lower"][first])
        rank = np.where(rows["lower"].isna(), "", np.where(apart, "worse", "no significant difference"))
        table.loc[rows.index, "rank"] = rank
        table.loc[first, "rank"] = "best"
    return table


def make_more_scores(samples: xr.Dataset, factor: int = 4) -> pd.DataFrame:
    """Further scores, groups, a wind's, an ensemble's and the study's own, as an evaluation adds them."""
    main, further = make_scores(samples, factor), make_scores(samples, factor, FURTHER)
    groups = ("season DJF", "season JJA", "hour 00", "hour 06", "region tropics", "region northern extratropics")
    parts = [main[main["score"].isin(("rmse", "bias", "ssim"))].assign(group=name) for name in groups]
    for i, part in enumerate(parts):
        part[["value", "lower", "upper"]] *= 1.0 + 0.1 * i
    systems = [str(name) for name in samples["system"].values[1:]]
    other = [
        (systems[0], "wind", "direction_error", 20.0, 19.0, 21.0, "degrees", "all", "worse", "Mean angle"),
        (systems[1], "wind", "direction_error", 15.0, 14.0, 16.0, "degrees", "all", "no significant difference", "Mean angle"),
        (systems[2], "wind", "direction_error", 14.0, 13.0, 15.0, "degrees", "all", "best", "Mean angle"),
        *((name, "u10", "crps", 0.5 + i, np.nan, np.nan, "m s-1", "all", "", "Mean score") for i, name in enumerate(systems)),
        *((name, "u10", "spread", 0.1, np.nan, np.nan, "m s-1", "all", "", "Root") for name in systems),
        *((name, "all", "published_psnr", 31.0 + i, np.nan, np.nan, "dB", "all", "", "The study's own range")
          for i, name in enumerate(systems)),
    ]  # fmt: skip
    return pd.concat([main, further, *parts, pd.DataFrame(other, columns=COLUMNS)], ignore_index=True)


def make_cells(samples: xr.Dataset) -> xr.Dataset:
    """Bias and RMSE of each cell."""
    out = {}
    for name in ("t2m", "u10"):
        error = samples[name].isel(system=slice(1, None)) - samples[name].sel(system="truth", drop=True)
        attrs = {"units": samples[name].attrs["units"]}
        out[f"{name}_bias"] = error.mean("valid_time").assign_attrs(attrs)
        out[f"{name}_rmse"] = ((error**2).mean("valid_time") ** 0.5).assign_attrs(attrs)
    return xr.Dataset(out)


def make_quantiles(samples: xr.Dataset) -> xr.Dataset:
    """Quantiles of all values."""
    share = np.array([0.0005, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9995])
    data = {}
    for name in ("t2m", "u10"):
        rows = [np.quantile(samples[name].sel(system=system), share) for system in samples["system"].values]
        attrs = {"units": samples[name].attrs["units"], "bin_width": 0.01}
        data[name] = (("system", "probability"), np.stack(rows), attrs)
    return xr.Dataset(data, {"system": samples["system"].values, "probability": share})


def make_cycles(samples: xr.Dataset) -> xr.Dataset:
    """Errors by hour of day and by season."""
    rng = np.random.default_rng(5)
    systems = samples["system"].values[1:]
    out = xr.Dataset(coords={"system": systems, "hour": [0, 6, 12, 18], "season": ["DJF", "MAM", "JJA", "SON"]})
    for name in ("t2m", "u10"):
        for kind in ("hour", "season"):
            for score, least in (("rmse", 1.0), ("bias", -0.5)):
                values = least + rng.random((systems.size, 4))
                out[f"{name}_{score}_{kind}"] = (("system", kind), values, {"units": samples[name].attrs["units"]})
    return out


def make_ranks(samples: xr.Dataset) -> xr.Dataset:
    """Ranks among four members; only the last system has any."""
    systems = samples["system"].values[1:]
    shares = np.full((systems.size, 5), np.nan)
    shares[-1] = (0.3, 0.15, 0.1, 0.15, 0.3)
    dims = ("system", "rank")
    return xr.Dataset(dict.fromkeys(("t2m", "u10"), (dims, shares)), {"system": systems, "rank": np.arange(5)})


def make_history(updates: int = 12000, every: int = 200) -> pd.DataFrame:
    """Two stages, content and then adversarial; validation at every fifth row."""
    rng = np.random.default_rng(3)
    step = np.arange(every, updates + 1, every)
    late = step > updates // 2
    fall = 0.35 * np.exp(-step / (updates / 5)) + 0.12
    table = pd.DataFrame({"step": step, "stage": np.where(late, "adversarial", "content")})
    table["learning_rate"] = 2e-4
    table["loss_l1"] = fall * (1 + 0.05 * rng.standard_normal(step.size))
    table["loss_adversarial"] = np.where(late, 0.7 + 0.1 * rng.standard_normal(step.size), np.nan)
    table["discriminator_loss"] = np.where(late, 0.66 + 0.05 * rng.standard_normal(step.size), np.nan)
    table["discriminator_real"] = np.where(late, 0.6 + 0.04 * rng.standard_normal(step.size), np.nan)
    table["discriminator_fake"] = np.where(late, 0.38 + 0.04 * rng.standard_normal(step.size), np.nan)
    measured = np.arange(step.size) % 5 == 4
    table["valid_psnr"] = np.where(measured, 26 + 5 * (1 - np.exp(-step / 2500)) - 0.8 * late, np.nan)
    table["valid_ssim"] = np.where(measured, 0.8, np.nan)
    table["valid_rmse"] = np.where(measured, 1.5 - 0.6 * (1 - np.exp(-step / 2500)) + 0.06 * late, np.nan)
    table["valid_mae"] = np.where(measured, 0.7, np.nan)
    table["valid_rmse_bilinear"] = np.where(measured, 1.32, np.nan)
    return table


CONFIG: dict[str, Any] = {
    "data": {"source": "era5.grib", "variables": ["t2m", "u10"], "factor": 4, "season": None},
    "model": {"name": "srresnet", "features": 64, "blocks": {"count": 8, "dilation": 1}},
    "training": {"updates": 12000, "learning_rate": 0.0002, "batch": 16, "seed": 7},
}
PROVENANCE: dict[str, Any] = {
    "versions": {"subgrid": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1"},
    "git_revision": "4f1c2aa",
    "seed": 7,
    "command": ["subgrid", "train", "my recipe.toml", "--seed", "7"],
    "started": "2025-11-22T09:19:00Z",
    "data_fingerprint": "sha256:5f2d1b9e",
    "notes": ["validation block is the last fifth of the training times"],
}


def make_run(path: Path, *, samples: xr.Dataset | None = None, whole: bool = False, **options: Any) -> Path:
    """Write a run directory to `path`, `whole` with all that an evaluation may add; `options` go to `make_samples`."""
    samples = make_samples(**options) if samples is None else samples
    factor, system = int(options.get("factor", 4)), str(options.get("system", "srgan"))
    folder = path / "evaluation"
    folder.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "provenance.json").write_text(json.dumps(PROVENANCE))
    make_history().to_csv(path / "history.csv", index=False)
    scores = make_more_scores(samples, factor) if whole else make_scores(samples, factor)
    scores.to_csv(folder / "scores.csv", index=False)
    make_cells(samples).to_netcdf(folder / "cells.nc")
    make_quantiles(samples).to_netcdf(folder / "quantiles.nc")
    if whole:
        make_cycles(samples).to_netcdf(folder / "cycles.nc")
        make_ranks(samples).to_netcdf(folder / "ranks.nc")
    samples.to_netcdf(folder / "samples.nc")
    make_spectra(samples, factor).to_netcdf(folder / "spectra.nc")
    times = [str(samples["valid_time"].values[i]) for i in (0, -1)]
    about: dict[str, Any] = {"system": system, "weights": "last", "num_times": samples.sizes["valid_time"]}
    about |= {"period": times, "factor": factor, "data_range": {"t2m": 60.0, "u10": 40.0}}
    about |= {"units": {"t2m": "K", "u10": "m s-1"}, "parameters": 946189, "level": 0.95}
    about |= {"notes": ["left out: t2m ms_ssim: fields of 48 x 64 cells are too small"] if whole else []}
    (folder / "evaluation.json").write_text(json.dumps(about))
    return path
