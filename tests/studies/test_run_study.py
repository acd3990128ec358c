"""Studies that are run: numbers, failures, kills, workers."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import subgrid
from report_study import make_study
from subgrid.errors import ConfigError, RunError
from subgrid.networks import build_discriminator, build_generator
from subgrid.reporting.format_numbers import format_number
from subgrid.run import load_run
from subgrid.scores import find_score
from subgrid.scores.block_length import find_breaks
from subgrid.scores.bootstrap import paired
from subgrid.scores.seeds import paired_over_seeds
from subgrid.scores.statistics_file import StatisticsReader
from subgrid.studies import jobs, paper_figures, progress, run_study, scheduling
from subgrid.studies.jobs import Job, run_job
from subgrid.studies.paired_runs import verdict
from subgrid.studies.plan import Plan, load_study
from subgrid.studies.results import collect, costs
from subgrid.studies.terminal import show_results
from tiny import SETTINGS

pytestmark = pytest.mark.slow

STUDY = """
base = "base.toml"
seeds = [0, 1]
[budget]
updates = 4
[arms.sound]
[arms.sampled]
data.coarsen = "bilinear"
[arms.wild]
content.learning_rate = 1e30
"""
ARMS = ("sound", "sampled", "wild")


def toml(settings: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three arms, one of which cannot but fail, and two seeds."""
    folder = tmp_path_factory.mktemp("study")
    subgrid.simulate(num_times=120, num_latitudes=32, num_longitudes=32).to_netcdf(folder / "weather.nc")
    base = {key: value for key, value in SETTINGS.items() if key != "train.updates"}
    base |= {"data.source": str(folder / "weather.nc"), "data.variables": ["t2m"]}
    (folder / "base.toml").write_text(toml(base))
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


@pytest.fixture(scope="module")
def unbroken(one_thread: None, study_file: Path) -> Path:
    """The study, run at once in this process; not to be changed. One figure for papers: test_arms.py has the others."""
    out = study_file.parent / "unbroken"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            paper_figures, "_drawings", lambda study, drawings=paper_figures._drawings: islice(drawings(study), 1)
        )
        subgrid.study(study_file, out=out, threads=1)
    assert {"report.html", "figures", "outputs"} <= {path.name for path in out.iterdir()}
    return out


@pytest.fixture
def copy(unbroken: Path, tmp_path: Path) -> Path:
    """A copy of the study's folder, to be changed; its runs use the stores of the original."""
    out = tmp_path / "copy"
    shutil.copytree(unbroken, out)
    return out


@pytest.fixture
def half(copy: Path) -> Path:
    """A copy in which the runs of the second seed and all results are missing."""
    for path in (*copy.glob("runs/*-seed1"), copy / "figures", copy / "outputs"):
        shutil.rmtree(path)
    for path in (*copy.glob("*.csv"), copy / "report.html"):
        path.unlink()
    return copy


def scores(out: Path, run: str) -> pd.DataFrame:
    table = pd.read_csv(out / "runs" / run / "evaluation" / "scores.csv")
    return table.set_index(["system", "variable", "score"])


def test_mean_spread_and_difference_are_those_of_the_runs(unbroken: Path) -> None:
    results = pd.read_csv(unbroken / "results.csv", keep_default_na=False, na_values=[""])
    results = results.set_index(["arm", "variable", "score"])
    for score in ("rmse", "psnr", "ssim", "bias", "high_wavenumber_power_ratio"):
        values = {
            arm: np.array([scores(unbroken, f"{arm}-seed{s}").loc[("srgan", "t2m", score), "value"] for s in (0, 1)])
            for arm in ("sound", "sampled")
        }
        for arm, found in values.items():
            row = results.loc[(arm, "t2m", score)]
            assert (row["seed_0"], row["seed_1"]) == tuple(found)
            assert (row["mean"], row["spread"]) == pytest.approx((found.mean(), found.std(ddof=1)))
            assert row["num_seeds"] == 2
            if arm != "sound":
                assert row["difference"] == pytest.approx((found - values["sound"]).mean(), rel=1e-6, abs=1e-9)
                assert row["lower"] <= row["difference"] <= row["upper"]
                assert row["significant"] == ("no" if row["lower"] <= 0 <= row["upper"] else "yes")
                assert row["num_pairs"] == 2
        bilinear = scores(unbroken, "sound-seed0").loc[("bilinear", "t2m", score), "value"]
        row = results.loc[("bilinear", "t2m", score)]
        assert (row["mean"], row["num_seeds"]) == (bilinear, 0)
        assert row["difference"] == pytest.approx(bilinear - values["sound"].mean(), rel=1e-6, abs=1e-9)
    assert results.loc[("bilinear", "t2m", "rmse"), "verdict"] == "worse"
    assert results.loc[("bilinear", "t2m", "psnr"), "verdict"] == "worse"
    assert np.isnan(results.loc[("sound", "t2m", "rmse"), "difference"])
    published = results.loc[("sampled", "all", "published_psnr")]
    assert (
        np.isnan(published["difference"])
        and published["note"] == "no statistics of single times were kept for this score"
    )


def test_each_seed_alone_is_compared_over_times_alone(unbroken: Path) -> None:
    """Against each run's own scores, and the bootstrap of its own parts."""
    single = pd.read_csv(unbroken / "single_seeds.csv", keep_default_na=False, na_values=[""])
    results = pd.read_csv(unbroken / "results.csv", keep_default_na=False).set_index(["arm", "variable", "score"])
    assert set(single["arm"]) == {"sampled"} and set(single["seed"]) == {0, 1}
    paired_scores = results[(results["difference"] != "") & (results["num_seeds"] != "0")].index
    assert {("sampled", v, s) for v, s in zip(single["variable"], single["score"], strict=True)} <= set(paired_scores)
    assert {"rmse", "psnr", "ssim", "log_spectral_distance"} <= set(single["score"])
    tables = {run: scores(unbroken, run) for run in ("sampled-seed0", "sampled-seed1", "sound-seed0", "sound-seed1")}
    for row in single.to_dict("records"):
        key = ("srgan", row["variable"], row["score"])
        ours, theirs = (tables[f"{arm}-seed{row['seed']}"].loc[key, "value"] for arm in ("sampled", "sound"))
        assert row["difference"] == pytest.approx(ours - theirs, rel=1e-5, abs=1e-7)
        assert row["all_seeds"] == results.loc[("sampled", row["variable"], row["score"]), "verdict"] or pd.isna(
            row["all_seeds"]
        )
        if row["verdict"] in ("better", "worse"):
            assert row["lower"] > 0 or row["upper"] < 0
            if row["score"] in ("rmse", "psnr"):
                assert (row["verdict"] == "better") == ((row["difference"] > 0) == (row["score"] == "psnr"))
        elif row["verdict"] == "no significant difference":
            assert row["lower"] <= 0 <= row["upper"]
    parts = []
    for arm in ("sampled", "sound"):
        with StatisticsReader(unbroken / "runs" / f"{arm}-seed1" / "evaluation" / "statistics.nc") as reader:
            parts.append(reader.read(("all", "t2m", "rmse"))[reader.systems.index("srgan")])
            clock = reader.clock("second")
    expected = paired(*parts, find_score("rmse").from_means, breaks=find_breaks(clock))
    row = single.query("variable == 't2m' and score == 'rmse' and seed == 1").iloc[0]
    assert (row["lower"], row["upper"]) == pytest.approx((expected.lower, expected.upper))  # not NaN
    assert {"better", "worse", "no significant difference"} & set(single["verdict"])


def test_one_arm_fails_and_the_others_do_not(unbroken: Path) -> None:
    failed = pd.read_csv(unbroken / "failures.csv")
    assert list(zip(failed.arm, failed.seed, strict=True)) == [("wild", 0), ("wild", 1)]
    assert failed.error.str.match(r"RunError: the gradient is no longer finite at update \d").all()
    recorded = (unbroken / "runs" / "wild-seed0" / "error.txt").read_text()
    assert recorded == failed.error[0] + "\n"  # one line: a user's error, without traceback
    row = pd.read_csv(unbroken / "results.csv").set_index("arm").loc["wild"]
    assert (row["num_seeds"], row["note"]) == (0, "failed: seed 0, 1")
    assert len(pd.read_csv(unbroken / "costs.csv")) == 4


def test_costs_and_differences_are_written(unbroken: Path) -> None:
    took = pd.read_csv(unbroken / "costs.csv")
    assert (took.updates == 4).all() and (took.seconds_in_updates >= 0).all()
    config = load_run(unbroken / "runs" / "sound-seed0").config
    for built, column in ((build_generator(config, 0), "generator"), (build_discriminator(config), "discriminator")):
        assert (took[f"{column}_parameters"] == sum(p.numel() for p in built.parameters())).all()
    if sys.platform == "linux":
        assert (took.peak_memory_mib > 100).all()
    changed = pd.read_csv(unbroken / "differences.csv").set_index("arm")
    assert dict(changed["key"]) == {"sampled": "data.coarsen", "wild": "content.learning_rate"}
    facts = json.loads((unbroken / "study.json").read_text())
    assert (facts["threads"], facts["reference"], facts["resumed"]) == (1, "sound", [])
    assert {"subgrid", "torch", "distributed", "python"} <= set(facts["versions"])


def test_costs_of_runs_that_an_older_subgrid_finished(copy: Path, study_file: Path) -> None:
    file = copy / "runs" / "sampled-seed1" / "finished.json"
    facts = json.loads(file.read_text())
    num = (facts.pop("generator_parameters"), facts.pop("discriminator_parameters"))
    file.write_text(json.dumps(facts | {"updates": 4}))
    table = costs(all_jobs(copy, load_study(study_file)))
    assert list(table.generator_parameters) == [num[0]] * 4
    assert table.discriminator_parameters.to_list() == [num[1], num[1], num[1], pd.NA]
    written = table.to_csv(index=False).splitlines()
    assert written[1].startswith(f"sound,0,{num[0]},{num[1]},4,") and written[4].startswith(f"sampled,1,{num[0]},,4,")
    assert costs([]).empty and list(costs([])) == list(table)


def test_arms_share_a_store_where_their_data_are_the_same(unbroken: Path) -> None:
    assert len(list((unbroken / "stores").glob("*.zarr"))) == 2
    used = {
        arm: json.loads((unbroken / "runs" / f"{arm}-seed1" / "provenance.json").read_text())["store"] for arm in ARMS
    }
    assert used["sound"] == used["wild"] != used["sampled"]


def test_what_is_finished_is_kept_and_what_failed_is_tried_again(
    copy: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(scheduling, "run_job", lambda job, progress=None: tried.append(job.name))
    table = subgrid.study(study_file, out=copy, figures=False)
    assert tried == ["wild-seed0", "wild-seed1"]
    assert table.attrs["failures"][0] == {"arm": "wild", "seed": 0, "error": "did not run"}
    facts = json.loads((copy / "study.json").read_text())
    assert facts["threads"] == 1 and len(facts["resumed"]) == 1  # as begun, not all cores


@pytest.mark.parametrize(
    "overrides, said",
    [
        (
            ["arms.sampled.train.ema=0.5"],
            r"arms.sampled: train.ema was 0.99, is now 0.5. Only arms and seeds may be added",
        ),
        (["budget.updates=6"], "arms.sound: train.updates was 4, is now 6"),
        (["reference=sampled"], "reference was 'sound', is now 'sampled'"),
        (["seeds=[1, 2]"], "seed 0 was removed"),
    ],
)
def test_a_study_that_has_changed_is_refused(unbroken: Path, study_file: Path, overrides: list[str], said: str) -> None:
    if "reference=sampled" in overrides:
        overrides = [*overrides, *(f"arms.{arm}.confounded=true" for arm in ARMS)]
    with pytest.raises(RunError, match=said):
        subgrid.study(study_file, out=unbroken, overrides=overrides)


def test_settings_that_an_older_subgrid_did_not_know_are_no_change(unbroken: Path, study_file: Path) -> None:
    new = run_study._describe(load_study(study_file))
    old = json.loads((unbroken / "study.json").read_text())
    for arm in old["arms"].values():
        for table, key in (("train", "training_fields"), ("data", "gap"), ("data", "coarsen"), ("data", "static")):
            arm["config"][table].pop(key, None)
        arm["config"]["summary"] = "the wording of an older recipe"
    changes = list(run_study._changes(old, new))
    assert changes == ["arms.sampled: data.coarsen was 'mean', is now 'bilinear'"]  # not the default: a change
    old["arms"]["sound"]["config"]["train"]["forgotten"] = 3
    old["arms"]["wild"]["config"]["train"]["ema"] = 0.5
    assert list(run_study._changes(old, new)) == [
        "arms.sound: train.forgotten was 3, is now None",
        *changes,
        "arms.wild: train.ema was 0.5, is now 0.99",
    ]


def test_an_arm_that_is_gone_is_refused_and_one_that_is_new_is_not(unbroken: Path, study_file: Path) -> None:
    less = study_file.with_name("less.toml")
    less.write_text(STUDY.partition("[arms.wild]")[0])
    with pytest.raises(RunError, match=r"arms.wild was removed"):
        subgrid.study(less, out=unbroken)
    more = load_study(study_file, ["arms.new.train.clip_norm=0.5", "seeds=[0, 1, 2]"])
    assert run_study._read_earlier(unbroken, more) is not None


def test_a_folder_of_something_else_is_refused(study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunError, match=r"exists and is not the folder of a study; choose another --out.$"):
        subgrid.study(study_file, out=tmp_path)


def test_an_arm_that_does_not_fit_its_data_stops_all_before_any_training(study_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arms\.large: generator: srresnet refuses its options"):
        subgrid.study(study_file, out=tmp_path / "out", overrides=["arms.large.generator.blocks='x'"])
    assert not (tmp_path / "out").exists()  # not even a store
    settings = ["arms.large.losses.ms_ssim.weight=1.0", "arms.large.losses.ms_ssim.window=17"]
    with pytest.raises(ConfigError, match=r"^arms\.large: losses\.ms_ssim on fields of 16 x 16 cells does not work"):
        subgrid.study(study_file, out=tmp_path / "out", overrides=settings)
    assert not (tmp_path / "out" / "runs").exists()


def kill_during(command: list[str], run: Path) -> None:
    """Start a study, wait until one of its runs has a first line of history, and kill the process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "history.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_twice_and_resumed_it_gives_the_same_results(unbroken: Path, study_file: Path, half: Path) -> None:
    out = half
    code = "from subgrid.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "study",
        str(study_file),
        "--out",
        str(out),
        "--threads",
        "1",
        "--no-figures",
    ]
    kill_during(command, out / "runs" / "sound-seed1")
    assert not (out / "results.csv").exists()
    kill_during(command, out / "runs" / "sampled-seed1")
    assert not (out / "results.csv").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "failed: wild, seed 0: RunError: the gradient is no longer finite" in done.stderr
    assert "sampled-seed1: done update 4, main, valid PSNR" in done.stderr
    assert f"{out / 'results.csv'}" in done.stdout
    for name in ("results.csv", "single_seeds.csv", "failures.csv", "differences.csv"):
        assert (out / name).read_bytes() == (unbroken / name).read_bytes()
    assert len(json.loads((out / "study.json").read_text())["resumed"]) == 3


def test_two_workers_give_the_same_results(
    unbroken: Path, study_file: Path, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "count_cores", lambda: 2)
    subgrid.study(study_file, out=half, workers=2, figures=False)
    assert (half / "results.csv").read_bytes() == (unbroken / "results.csv").read_bytes()
    facts = json.loads((half / "study.json").read_text())
    assert (facts["workers"], facts["threads"]) == (2, 1)


def test_an_existing_cluster_is_used_one_job_at_a_time_in_a_process(
    unbroken: Path, study_file: Path, tmp_path: Path
) -> None:
    from distributed import LocalCluster

    few = ["seeds=[1]"]
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        subgrid.study(
            study_file,
            out=tmp_path / "out",
            scheduler=cluster.scheduler_address,
            threads=1,
            overrides=few,
            figures=False,
        )
    for arm in ("sound", "sampled"):
        one, other = (folder / "runs" / f"{arm}-seed1" / "history.csv" for folder in (tmp_path / "out", unbroken))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("where", [{"workers": 1}, {"scheduler": "tcp://head-node:8786"}])
def test_workers_without_distributed_name_the_extra(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=re.escape('`pip install "subgrid[cluster]"`')):
        subgrid.study(study_file, out=tmp_path / "study", **where)
    assert not (tmp_path / "study").exists()


def test_where_no_scheduler_answers(study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "CONNECT_SECONDS", 0.5)
    with pytest.raises(RunError, match=r"^scheduler: no workers at nonsense://here: "):
        subgrid.study(study_file, out=tmp_path, scheduler="nonsense://here")
    with pytest.raises(ConfigError, match=r"^workers and scheduler: give only one of them"):
        subgrid.study(study_file, out=tmp_path, scheduler="x", workers=2)
    with pytest.raises(ConfigError, match=r"^level is 95; expected a share between 0 and 1"):
        subgrid.study(study_file, out=tmp_path, level=95)


def test_a_job_that_dies_on_its_worker_is_recorded(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    def die(job: Job) -> None:
        raise MemoryError("gone")

    monkeypatch.setattr(scheduling, "run_job", die)
    job = Job("a", 0, {}, str(tmp_path / "runs" / "a-seed0"), "", 1)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert scheduling.count_threads(client) == 1
        scheduling.run_on(client, [job], lambda: None)
    assert job.error == "MemoryError: gone"


@pytest.mark.parametrize(
    "workers, threads, cores, share", [(1, None, 8, 8), (2, None, 8, 4), (3, None, 8, 2), (4, 2, 8, 2), (1, 1, 1, 1)]
)
def test_threads_are_shared_out(workers: int, threads: int | None, cores: int, share: int) -> None:
    assert scheduling.share_threads(workers, threads, cores) == share
    assert workers * share <= cores


def test_more_than_the_cores_is_refused(unbroken: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^workers: got 3, expected at most the number of cores, 2.$"):
        scheduling.share_threads(3, None, 2)
    with pytest.raises(ConfigError, match=r"^threads: got 3 for each of 2 workers on 4 cores, expected 1 to 2.$"):
        scheduling.share_threads(2, 3, 4)
    with pytest.raises(ConfigError, match=r"^workers: got 0, expected 1 or more.$"):
        scheduling.share_threads(0, None, 2)
    monkeypatch.setattr(scheduling, "count_cores", lambda: 2)
    with pytest.raises(
        ConfigError, match=r"The study was started with 2 threads per run; another number \(--threads\) changes"
    ):
        run_study._choose_threads({"threads": 2}, 2, None)
    with pytest.raises(ConfigError, match=r"expected 1 to 1.$"):
        run_study._choose_threads({"threads": 1}, 2, 2)
    assert scheduling.count_cores() >= 1 and os.cpu_count()


def jobs_of(unbroken: Path) -> list[Job]:
    return [
        Job(path.name.split("-")[0], int(path.name[-1]), {}, str(path), "", 1)
        for path in sorted((unbroken / "runs").iterdir())
    ]


def test_the_progress_of_every_run_is_shown(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sound-seed0", "sampled-seed0"):
        (copy / "runs" / name / "job.json").unlink()
    (copy / "runs" / "sampled-seed0" / "finished.json").unlink()
    (copy / "runs" / "sampled-seed1" / "job.json").unlink()
    for name in ("finished.json", "history.csv"):
        (copy / "runs" / "sampled-seed1" / name).unlink()
    runs = [*jobs_of(copy), Job("late", 0, {}, str(copy / "runs" / "late-seed0"), "", 1)]
    terminal = Console(force_terminal=True, width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    monkeypatch.setattr(progress, "console", terminal)
    with progress.show_progress(runs) as shown:
        shown.refresh()
    text = terminal.export_text()
    assert "1 of 7 runs done, 2 failed" in text
    for line in (r"sound-seed0 +scoring", r"sampled-seed0 +training update 4, main", r"late-seed0 +waiting"):
        assert pd.Series(text.splitlines()).str.contains(line.replace(" update", " +update")).any(), line
    monkeypatch.setattr(progress, "console", Console(force_terminal=False))
    with progress.show_progress(runs) as shown:
        shown.refresh()
        shown.refresh()
        shown._last_line -= progress.PLAIN_SECONDS
    said = capsys.readouterr().err
    assert said.count("sampled-seed1: training started") == 2  # once new, once for the log to show that it lives
    assert said.count("wild-seed0: failed RunError") == 1
    assert "late" not in said
    with progress.show_progress(runs, enabled=False) as shown:
        shown.refresh(now=True)
    assert capsys.readouterr().err == ""


def test_the_table_on_the_screen(
    unbroken: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    results = pd.read_csv(unbroken / "results.csv")
    show_results(results, "sound")
    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if "t2m" in line]
    assert len(lines) == 4
    assert "sound * " in lines[0] and " ± " in lines[0]
    rmse = results[(results.arm == "bilinear") & (results.score == "rmse")].iloc[0]
    assert f"{format_number(rmse['mean'])} -" in lines[2]
    assert "Compared with sound (*)" in text


def all_jobs(folder: Path, plan: Plan) -> list[Job]:
    configs = {arm.name: arm.config.model_dump(mode="json", exclude_none=True) for arm in plan.arms}
    stores = {
        job: json.loads((folder / "runs" / f"{job}-seed0" / "provenance.json").read_text())["store"] for job in ARMS
    }
    return [
        Job(arm, seed, configs[arm], str(folder / "runs" / f"{arm}-seed{seed}"), stores[arm], 1)
        for seed in (0, 1)
        for arm in ARMS
    ]


def notes(table: pd.DataFrame, arm: str, score: str = "rmse") -> pd.Series[Any]:
    return table.set_index(["arm", "score"]).loc[(arm, score)]


def test_what_cannot_be_paired_says_why(copy: Path, study_file: Path) -> None:
    plan = load_study(study_file)
    runs = all_jobs(copy, plan)
    assert notes(collect(plan, runs), "sampled").note == ""
    (copy / "runs" / "sampled-seed0" / "job.json").unlink()
    one = notes(collect(plan, runs), "sampled")
    assert one.note == "failed: seed 0; one seed; an interval needs two or more, and three to be useful"
    assert (one.num_pairs, one.verdict, one.significant) == (1, "", "")
    assert one.difference == pytest.approx(one.seed_1 - notes(collect(plan, runs), "sound").seed_1)
    elsewhere = [
        replace(job, config=_with_data(job, "select", {"level": 850})) if job.arm == "sampled" else job for job in runs
    ]
    assert notes(collect(plan, elsewhere), "sampled").note == "failed: seed 0; another truth: data.select differs"
    scored = copy / "runs" / "sampled-seed1" / "evaluation"
    table = pd.read_csv(scored / "scores.csv")
    table.assign(convention=table.convention + " of another range").to_csv(scored / "scores.csv", index=False)
    assert notes(collect(plan, runs), "sampled").note == "failed: seed 0; another convention than the reference's"
    table.assign(convention=table.convention + " (data range 3.5; x)").to_csv(scored / "scores.csv", index=False)
    theirs = copy / "runs" / "sound-seed0" / "evaluation" / "scores.csv"
    whole = pd.read_csv(theirs)
    whole.assign(convention=whole.convention + " (data range 20; x)").to_csv(theirs, index=False)
    assert notes(collect(plan, runs), "sampled").note == "failed: seed 0; another data range than the reference's"
    (scored / "statistics.nc").unlink()
    assert "unconditional samples have no paired truth" in notes(collect(plan, runs), "sampled").note
    assert notes(collect(plan, runs), "sound").note == ""
    for seed in (0, 1):
        (copy / "runs" / f"sound-seed{seed}" / "job.json").unlink()
    alone = collect(plan, runs)
    assert set(alone.arm) == {"sound", "sampled", "wild"}  # no baselines: these were the reference's
    assert notes(alone, "sampled").note == "failed: seed 0; no seed of both was finished"


def _with_data(job: Job, key: str, value: Any) -> dict[str, Any]:
    return {**job.config, "data": {**job.config["data"], key: value}}


def test_other_test_times_are_not_paired(copy: Path, study_file: Path) -> None:
    plan = load_study(study_file)
    with netCDF4.Dataset(copy / "runs" / "sampled-seed1" / "evaluation" / "statistics.nc", "a") as parts:
        parts.variables["second"][:] = parts.variables["second"][:] + 3600
    found = notes(collect(plan, all_jobs(copy, plan)), "sampled")
    assert (found.note, found.num_pairs) == ("not the same test times as the reference", 2)


def test_which_is_better_where_a_score_may_err_on_both_sides() -> None:
    ratio = find_score("high_wavenumber_power_ratio")
    ones = np.ones((20, 1))

    def said(ours: float, theirs: float, score: Any = ratio) -> str:
        a, b = ([np.concatenate([value * ones, ones], axis=1)] * 2 for value in (ours, theirs))
        compare = partial(paired_over_seeds, a, b, score.from_means)
        return verdict(compare(), score, compare)

    assert said(0.9, 0.7) == "better" and said(1.4, 0.9) == "worse"
    assert said(1.25, 0.75) == "differs"
    assert said(0.9, 0.9) == "no significant difference"
    assert said(1.25, 0.75, replace(ratio, best=float("nan"))) == "differs"


def test_a_job_that_is_done_is_left_alone_and_memory_is_measured_where_it_can_be(
    unbroken: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_job(replace(jobs_of(unbroken)[0], config={"nonsense": True}))
    assert jobs_of(unbroken)[0].error is None
    job = Job("bug", 0, {"nonsense": True}, str(tmp_path / "bug-seed0"), "", 1)
    run_job(job)
    assert job.error is not None and job.error.startswith("ValidationError: ")
    assert "Traceback" in (tmp_path / "bug-seed0" / "error.txt").read_text()

    def absent(*_: object, **__: object) -> str:
        raise OSError("no such place")

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(Path, "write_text", absent)
    jobs._reset_peak_memory()
    assert jobs._peak_memory() is None


def test_a_finished_study_has_its_page(unbroken: Path, tmp_path: Path) -> None:
    page = (unbroken / "report.html").read_text(encoding="utf-8")
    body = page.partition("<body>")[2]
    for part in (
        'id="study-maps"',
        'id="study-spectra"',
        "4 of 6 finished",
        "wild, seed 0:</strong> RunError: the gradient",
    ):
        assert part in body
    assert "t2m: sampled " in body and "each arm&#39;s first finished seed" in body
    # what the page's own tests fabricate has the same form
    made = make_study(tmp_path / "made", seeds=(0,), shape=(16, 24))
    for name in ("results", "differences", "costs", "failures"):
        mine, theirs = (list(pd.read_csv(folder / f"{name}.csv").columns) for folder in (made, unbroken))
        assert [one for one in mine if not one.startswith("seed_")] == [
            one for one in theirs if not one.startswith("seed_")
        ]
    mine, theirs = (json.loads((folder / "study.json").read_text()) for folder in (made, unbroken))
    assert mine.keys() <= theirs.keys()
    assert mine["arms"]["sharp"].keys() == theirs["arms"]["sampled"].keys()
    assert mine["arms"]["sharp"]["differences"][0].keys() == theirs["arms"]["sampled"]["differences"][0].keys()
