"""The study's own scores against a literal loop with scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores.published import published_scores

BOUNDS = {"minimum": np.array([250.0, -20.0]), "maximum": np.array([310.0, 25.0])}


def fields(num_times=19, shape=(16, 18)):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(num_times, 2, *shape)).cumsum(-1) * 0.4
    return np.tanh(truth + 0.2 * rng.normal(size=truth.shape)), truth


@pytest.mark.parametrize("batch_times", [1, 8, 100])
def test_they_equal_a_literal_loop(batch_times):
    prediction, truth = fields()
    rows = []
    for start in range(0, 19, batch_times):
        p, t = (f[start : start + batch_times].transpose(0, 2, 3, 1) for f in (prediction, truth))
        peak = max(p.max(), t.max()) - min(p.min(), t.min())
        psnr = np.mean([peak_signal_noise_ratio(a, b, data_range=peak) for a, b in zip(t, p, strict=True)])
        ssim = np.mean(
            [structural_similarity(a, b, channel_axis=-1, data_range=peak) for a, b in zip(t, p, strict=True)]
        )
        scaled = [(f - BOUNDS["minimum"]) / (BOUNDS["maximum"] - BOUNDS["minimum"]) for f in (p, t)]
        error = scaled[0] - scaled[1]
        rows.append((psnr, ssim, np.sqrt((error**2).mean()), np.abs(error).mean()))
    found = published_scores(prediction, truth, batch_times=batch_times, **BOUNDS)
    assert list(found) == ["published_psnr", "published_ssim", "published_rmse", "published_mae"]
    assert list(found.values()) == pytest.approx(np.mean(rows, axis=0), rel=1e-9)


def test_each_of_their_peculiarities_shows():
    prediction, truth = fields()
    base = published_scores(prediction, truth, **BOUNDS)
    wild = prediction.copy()
    wild[0, 0, 0, 0] = 40.0  # one cell of one time, and PSNR of the other seven times of its batch rises
    calm = prediction.copy()
    calm[0, 0, 0, 0] = 4.0
    assert published_scores(wild[1:8], truth[1:8], **BOUNDS) == published_scores(calm[1:8], truth[1:8], **BOUNDS)
    assert (
        published_scores(wild, truth, **BOUNDS)["published_psnr"]
        > published_scores(calm, truth, **BOUNDS)["published_psnr"]
    )
    assert base != published_scores(prediction, truth, batch_times=4, **BOUNDS)
    assert published_scores(prediction, truth, batch_times=1, **BOUNDS)["published_rmse"] < base["published_rmse"]
    half = {"minimum": BOUNDS["minimum"], "maximum": 2 * BOUNDS["maximum"] - BOUNDS["minimum"]}
    assert published_scores(prediction, truth, **half)["published_mae"] == pytest.approx(base["published_mae"] / 2)
    assert published_scores(truth, truth, **BOUNDS) == {
        "published_psnr": np.inf,
        "published_ssim": pytest.approx(1.0, abs=1e-12),
        "published_rmse": 0.0,
        "published_mae": 0.0,
    }


def test_batches_in_which_the_truth_is_constant_have_no_range():
    prediction, truth = fields()
    truth[:4] = 0.0
    wet, all_batches = (
        published_scores(prediction[part], truth[part], batch_times=4, **BOUNDS)
        for part in (slice(4, None), slice(None))
    )
    for name in ("published_psnr", "published_ssim"):
        assert all_batches[name] == pytest.approx(wet[name], rel=1e-12)
    assert all_batches["published_rmse"] != wet["published_rmse"]
    dry = published_scores(0 * truth, 0 * truth, **BOUNDS)
    assert np.isnan([dry["published_psnr"], dry["published_ssim"]]).all()
    assert dry["published_rmse"] == dry["published_mae"] == 0


def test_what_they_refuse():
    prediction, truth = fields()
    with pytest.raises(GridError, match=r"expected the same \(time, variable, y, x\)"):
        published_scores(prediction[0], truth[0], **BOUNDS)
    with pytest.raises(GridError, match="at least 7 x 7 cells"):
        published_scores(prediction[..., :6], truth[..., :6], **BOUNDS)
    with pytest.raises(ConfigError, match="batch_times is 0"):
        published_scores(prediction, truth, batch_times=0, **BOUNDS)
    with pytest.raises(SourceError, match=r"maximum minus minimum is .* for 2 variables"):
        published_scores(prediction, truth, minimum=BOUNDS["maximum"], maximum=BOUNDS["minimum"])
    for which in (0, 1):
        pair = [prediction.copy(), truth.copy()]
        pair[which][3, 1, 2, 2] = np.nan
        with pytest.raises(
            SourceError, match=f"{('prediction', 'reference')[which]} holds 1 .* the first at time index 3"
        ):
            published_scores(*pair, **BOUNDS)
