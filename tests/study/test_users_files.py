"""A study in a folder with other things: `run` and `report` leave them as they are, or say what is in their way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import in_process  # noqa: F401  # pyright: ignore

from fewbits import StudyError
from fewbits.output_folder import MANIFEST
from fewbits.report import write_report
from fewbits.report.tables import NAMES
from fewbits.study import StudySpec, read_results, run_study
from fewbits.study.folder import KEPT

pytestmark = pytest.mark.usefixtures("in_process")

SHORT = {"precisions": ["float32"], "float_training": {"epochs": 1}}


@pytest.fixture
def study(tiny: Callable[..., StudySpec]) -> StudySpec:
    return tiny(**SHORT)


@pytest.fixture(scope="module")
def reported(tiny: Callable[..., StudySpec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with its report."""
    from in_process import InProcessExecutor  # pyright: ignore

    folder = tmp_path_factory.mktemp("reported") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewbits.study.engine.ProcessExecutor", InProcessExecutor)
        patch.setattr("fewbits.report.chart.Chart.png", lambda _: b"a picture")
        patch.setattr("fewbits.report.chart.Chart.svg", lambda _: b"a picture")
        run_study(tiny(**SHORT), folder)
        write_report(folder)
    return folder


@pytest.fixture
def out(reported: Path, tmp_path: Path) -> Path:
    """A copy of the finished study."""
    return Path(shutil.copytree(reported, tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those that SQLite makes beside its own while one reads it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(autouse=True)
def quick_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn in other tests."""
    monkeypatch.setattr("fewbits.report.chart.Chart.png", lambda _: b"a picture")
    monkeypatch.setattr("fewbits.report.chart.Chart.svg", lambda _: b"a picture")


def test_other_things_in_the_folder_stay(study: StudySpec, tmp_path: Path):
    mine = {
        ".model.safetensors.bak": b"1",
        "a/.x.safetensors.77": b"2",
        "notes.txt": b"3",
        "results-of-mine.csv": b"4",
        "model.safetensors": b"5",
    }
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for _ in range(2):  # the second finds what the first left
        run_study(study, tmp_path)
    write_report(tmp_path)
    now = contents(tmp_path)
    assert {name: now[name] for name in mine} == mine


def test_files_of_the_users_in_the_studys_own_folders_stay(study: StudySpec, out: Path):
    for name in ("networks/.model.safetensors.bak", "checkpoints/mine/a.safetensors", "networks/mine.safetensors"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"mine")
    run_study(study, out)
    assert sum(content == b"mine" for content in contents(out).values()) == 3


@pytest.mark.parametrize("name", KEPT)
def test_a_name_of_the_studys_that_the_user_has_is_refused_and_left(study: StudySpec, tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(StudyError, match="is not of fewbits, which would overwrite it: move it away"):
        run_study(study, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["study.sqlite", "study.lock", "networks", "checkpoints", MANIFEST])
def test_a_link_in_the_studys_place_is_refused_and_what_it_points_to_stays(
    study: StudySpec, out: Path, tmp_path: Path, name: str
):
    (out / name).rename(tmp_path / "elsewhere")
    (out / name).symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path)
    with pytest.raises(StudyError, match="is a link, and fewbits writes through none"):
        run_study(study, out)
    assert contents(tmp_path) == before


def test_a_link_in_place_of_a_trained_network_fails_its_run_in_one_line(study: StudySpec, out: Path, tmp_path: Path):
    (network,) = (out / "networks").iterdir()
    (tmp_path / "mine").write_bytes(b"mine")
    network.unlink()
    network.symlink_to(tmp_path / "mine")
    with pytest.raises(StudyError, match="is a link, and fewbits writes through none"):
        run_study(study, out)
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["report.html", "results.csv", "energy.csv", "results.md", "area.png"])
def test_a_report_does_not_overwrite_a_file_of_the_users(out: Path, name: str):
    for path in out.iterdir():
        if path.name not in KEPT:
            path.unlink()
    (out / name).write_text("mine")
    before = contents(out)
    with pytest.raises(StudyError, match=f"{name}' is not of fewbits"):
        write_report(out)
    assert contents(out) == before


def test_a_report_follows_no_link(out: Path, tmp_path: Path):
    (tmp_path / "mine.csv").write_text("mine")
    (out / "results.csv").unlink()
    (out / "results.csv").symlink_to(tmp_path / "mine.csv")
    with pytest.raises(StudyError, match=r"results\.csv' is a link"):
        write_report(out)
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_a_report_is_written_again(out: Path):
    assert all(path.exists() for path in write_report(out))


def test_a_folder_of_a_version_without_manifest_goes_on(study: StudySpec, out: Path):
    before = read_results(out)
    (out / MANIFEST).unlink()
    for path in out.iterdir():
        if path.suffix in (".svg", ".tex", ".parquet") or path.stem in NAMES:  # no such version wrote these
            path.unlink()
    assert run_study(study, out).results == before
    assert write_report(out)


def test_without_a_manifest_and_a_page_a_table_is_the_users(study: StudySpec, out: Path):
    (out / MANIFEST).unlink()
    (out / "report.html").unlink()
    run_study(study, out)
    with pytest.raises(StudyError, match="is not of fewbits"):
        write_report(out)


@pytest.mark.parametrize("change", [{"precisions": ["fixed99"]}, {"models": ["lnet"]}, {"data": ["nowhere.npz"]}])
def test_a_refused_study_leaves_no_folder(tiny: Callable[..., StudySpec], tmp_path: Path, change: dict[str, list[str]]):
    with pytest.raises(StudyError):
        run_study(tiny(**change), tmp_path / "a" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_study_leaves_a_folder_of_the_users_as_it_is(tiny: Callable[..., StudySpec], tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StudyError):
        run_study(tiny(precisions=["fixed99"]), tmp_path)
    assert list(contents(tmp_path)) == ["notes.txt"]


def test_a_study_that_was_killed_before_its_store_stood_starts_again(study: StudySpec, tmp_path: Path, out: Path):
    shutil.copy(out / MANIFEST, tmp_path / MANIFEST)
    (tmp_path / "study.lock").write_text("1\n")
    (tmp_path / "study.sqlite").touch()
    assert len(run_study(study, tmp_path).results) == 1
