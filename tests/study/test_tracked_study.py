"""A study with sinks: curves and figures as they come, the same results, nothing twice when it is run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from in_process import in_process  # noqa: F401  # pyright: ignore
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fewbits.study import Notice, RunFinished, TaskProgress, read_study, run_study
from fewbits.study.events import Event


def curves(folder: Path) -> dict[str, int]:
    """Epochs by a run's folder."""
    found: dict[str, int] = {}
    for run in sorted((folder / "tensorboard" / "tiny").iterdir()):
        read = EventAccumulator(str(run)).Reload()
        found[run.name] = len(read.Scalars("loss/training"))
    return found


@pytest.fixture(scope="module")
def tracked(tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    folder, events = tmp_path_factory.mktemp("tracked"), []
    run_study(tiny(track={"tensorboard": True}), folder, workers=1, observer=events.append)
    return folder, events


def test_each_run_and_the_float_network_has_its_whole_curve(tracked: tuple[Path, list[Event]]):
    folder, events = tracked
    finished = [event.result for event in events if isinstance(event, RunFinished)]
    found = curves(folder)
    assert sorted(found.values()) == sorted([*(len(run.history) for run in finished), len(finished[0].float_history)])
    assert all(any(name.endswith(run.key[:16]) for name in found) for run in finished)


def test_epochs_are_told_while_a_training_goes_on(tracked: tuple[Path, list[Event]]):
    told = [event for event in tracked[1] if isinstance(event, TaskProgress) and event.epochs_ended]
    assert told
    for event in told:
        assert [epoch.epoch for epoch in event.epochs_ended] == list(
            range(event.epochs_ended[0].epoch, event.epochs_ended[-1].epoch + 1)
        )
        assert event.label.key


@pytest.mark.usefixtures("in_process")
def test_sinks_change_no_figure_and_no_key(tiny, tracked, tmp_path: Path, figures):
    plain = run_study(tiny(), tmp_path / "plain")
    again = run_study(tiny(), tracked[0])  # goes on from the tracked one: all keys are known
    assert figures(plain.results) == figures(again.results)
    assert read_study(tracked[0]).definition == read_study(tmp_path / "plain").definition


@pytest.mark.usefixtures("in_process")
def test_a_study_that_is_run_again_writes_nothing_twice(tiny, tracked, tmp_path: Path):
    folder = Path(shutil.copytree(tracked[0], tmp_path / "again"))
    before = sorted(folder.rglob("events*"))
    run_study(tiny(track={"tensorboard": True}), folder, workers=1)
    assert sorted(folder.rglob("events*")) == before


@pytest.mark.usefixtures("in_process")
def test_a_sink_that_is_added_later_gets_the_runs_that_had_finished(tiny, tracked, tmp_path: Path):
    folder = Path(shutil.copytree(tracked[0], tmp_path / "later"))
    run_study(tiny(track={"tensorboard": str(tmp_path / "logs")}), folder, workers=1)
    assert len(list((tmp_path / "logs" / "tiny").iterdir())) == 4


@pytest.mark.usefixtures("in_process")
def test_a_sink_that_fails_is_a_notice_and_the_study_ends_well(tiny, tmp_path: Path):
    (tmp_path / "logs").write_text("a file, not a folder")
    events: list[Event] = []
    spec = tiny(track={"tensorboard": str(tmp_path / "logs")}, precisions=["float32"])
    outcome = run_study(spec, tmp_path / "out", workers=1, observer=events.append)
    assert (len(outcome.results), outcome.failed) == (1, ())
    (_of_data, notice) = [event.text for event in events if isinstance(event, Notice)]
    assert "sink 'tensorboard' has stopped: NotADirectoryError" in notice or "FileExistsError" in notice
