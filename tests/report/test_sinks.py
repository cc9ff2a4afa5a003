"""Sinks are observers that cost a study nothing: what fails, hangs or is missing is said, and the study goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from round_runs import WriteStudy, make_curve, make_run, make_runs, with_curves

from fewbits import StudyError
from fewbits.cli import main
from fewbits.study import FailedRun, RunResult, Sink, SinkWriter, TaskLabel, TaskProgress, TrackedStudy
from fewbits.study.events import Event, Notice, RunFailed, RunFinished
from fewbits.study.spec import parse_study
from fewbits.study.tracking import SINKS, open_sinks, parse_wanted, tracked, tracker
from fewbits.train import EpochRecord

STUDY = {"name": "s", "models": ["lenet"], "data": ["digits"], "precisions": ["fixed8"]}
LABEL = TaskLabel("lenet", "digits", "fixed8", "fine-tune", 0, "k")


class Noting(SinkWriter):
    """Keeps what it is told; fails or hangs at the n-th call if told to."""

    def __init__(self, fail_at: int = -1, hang: threading.Event | None = None, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.fail_at, self.hang, self.error = fail_at, hang, error or OSError(28, "No space left on device")

    def _note(self, what: str) -> None:
        if self.hang is not None:
            self.hang.wait(60)
        if len(self.told) == self.fail_at:
            raise self.error
        self.told.append(what)

    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        self._note(f"{task.key} epoch {epochs[-1].epoch}")

    def finished(self, run: RunResult) -> None:
        self._note(f"finished {run.key}")

    def failed(self, run: FailedRun) -> None:
        self._note(f"failed {run.key}")

    def close(self) -> None:
        self._note("closed")


def events(count: int = 3) -> list[Event]:
    progress = [TaskProgress(LABEL, n, 9, n, 0.5, 90.0, make_curve(n)) for n in range(1, count + 1)]
    failure = FailedRun(key="f", model="m", data="d", precision="p", recipe="r", seed=0, error="e")
    return [*progress, RunFinished(LABEL, make_run()), RunFailed(LABEL, failure)]


def tell(writers: dict[str, SinkWriter], stored: Sequence[RunResult] = ()) -> list[Event]:
    """All events to sinks; what the observer saw."""
    seen: list[Event] = []
    with tracked(seen.append, writers, stored, "out") as observer:
        for event in events():
            observer(event)
    return seen


def notices(seen: Sequence[Event]) -> list[str]:
    return [event.text for event in seen if isinstance(event, Notice)]


def test_a_sink_is_told_of_stored_runs_epochs_and_ends_in_order():
    writer = Noting()
    seen = tell({"a": writer}, [make_run(seed=5)])
    assert writer.told == [
        *("finished fixed8-5", "k epoch 1", "k epoch 2", "k epoch 3", "finished fixed8-0", "failed f", "closed")
    ]
    assert seen == events()


def test_a_sink_that_fails_is_one_notice_and_others_go_on():
    failing, other = Noting(fail_at=1), Noting()
    seen = tell({"a": failing, "b": other})
    assert notices(seen) == [
        "sink 'a' has stopped: OSError: [Errno 28] No space left on device; the study's own results are not touched. "
        "Once it works: fewbits report out --track a"
    ]
    assert failing.told == ["k epoch 1"]
    assert other.told[-1] == "closed"
    assert [event for event in seen if not isinstance(event, Notice)] == events()


def test_a_sink_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracker, "PATIENCE_SECONDS", 0.1)
    release, many = threading.Event(), events(100)
    seen: list[Event] = []
    start = time.monotonic()
    with tracked(seen.append, {"a": Noting(hang=release)}, (), "out") as observer:
        for event in many:
            observer(event)
        assert time.monotonic() - start < 1.0
    assert time.monotonic() - start < 2.0
    release.set()
    assert "sink 'a' has stopped: it has done nothing for 0.1 s" in notices(seen)[0]


def test_a_slow_sink_gets_the_runs_and_not_every_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracker, "MOST_WAITING", 10)
    release, writer = threading.Event(), Noting()
    writer.hang = release
    with tracked(lambda _: None, {"a": writer}, (), "out") as observer:
        for event in events(100):
            observer(event)
        release.set()
    assert writer.told[-3:] == ["finished fixed8-0", "failed f", "closed"]
    assert len(writer.told) <= 10 + 1 + 3


def test_a_password_in_an_address_is_not_told():
    seen = tell({"a": Noting(fail_at=0, error=ConnectionError("http://me:secret@host/api refused"))})
    assert "secret" not in notices(seen)[0]
    assert "http://...@host/api" in notices(seen)[0]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_one_line_before_anything_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, {"tensorboard": "torch.utils.tensorboard"}.get(name, name), None)
    study = TrackedStudy("s", tmp_path / "out")
    with pytest.raises(StudyError, match=rf"{name}, which is not installed: pip install 'fewbits\[tracking\]'"):
        open_sinks({name: True}, study)
    assert not (tmp_path / "out").exists()


def test_opening_makes_nothing(tmp_path: Path):
    open_sinks({"tensorboard": True, "mlflow": True}, TrackedStudy("s", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"tensorbord": True}, "there is no sink 'tensorbord': allowed are 'tensorboard', 'mlflow'; did you mean 'ten"),
        ({"mlflow": 3}, "'mlflow' takes true, or the path or address of where to write, not 3"),
        ({"mlflow": ""}, "'mlflow' takes true"),
        ({"mlflow": ["a"]}, "'mlflow' takes true"),
        ({"mlflow": "a\nb"}, "'mlflow' takes true"),
        ("tensorboard", "track"),
    ],
)
def test_a_senseless_track_table_is_refused(table: object, words: str):
    with pytest.raises(StudyError) as caught:
        parse_study(STUDY | {"track": table}, "s.toml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sinks_are_no_part_of_what_is_stored():
    plain = parse_study(STUDY, "s.toml")
    assert parse_study(STUDY | {"track": {"mlflow": "http://a:b@c"}}, "s.toml").definition() == plain.definition()
    assert "track" not in plain.definition()


def test_the_command_line_adds_to_the_studys_own_sinks():
    spec = parse_study(STUDY | {"track": {"tensorboard": True, "mlflow": "x"}}, "s.toml")
    assert spec.tracked_by({"mlflow": False}).track == {"tensorboard": True, "mlflow": False}


@pytest.mark.parametrize(
    ("option", "words"),
    [("wandb", "no sink 'wandb'"), ("mlflow=", "give a folder or an address behind '='"), ("", "no sink ''")],
)
def test_a_senseless_option_is_refused(option: str, words: str):
    with pytest.raises(StudyError, match=words):
        parse_wanted([option])


def test_paths_begin_at_the_current_folder_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    options = ["tensorboard=logs", "mlflow=http://host:5000/a=b"]
    assert parse_wanted(options) == {"tensorboard": str(tmp_path / "logs"), "mlflow": "http://host:5000/a=b"}


def test_what_is_not_fewbitss_in_the_studys_folder_is_refused(write_study: WriteStudy):
    folder = write_study(make_runs(0))
    (folder / "tensorboard").mkdir()
    with pytest.raises(StudyError, match=r"tensorboard' is not of fewbits"):
        open_sinks({"tensorboard": True}, TrackedStudy("small", folder))


def test_a_stored_study_is_sent_by_the_report(write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fewbits.report.chart.Chart.png", lambda _: b"a picture")
    monkeypatch.setattr("fewbits.report.chart.Chart.svg", lambda _: b"a picture")
    folder, writer = write_study(with_curves(make_runs(0))), Noting()
    monkeypatch.setitem(SINKS._own, "noting", Sink("notes", lambda *_: writer))  # pyright: ignore
    assert main(["report", str(folder), "--track", "noting"]) == 0
    assert writer.told == [*(f"finished {run.key}" for run in make_runs(0)), "closed"]


def test_a_sink_that_fails_after_a_report_is_told_and_the_report_stays(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("fewbits.report.chart.Chart.png", lambda _: b"a picture")
    monkeypatch.setattr("fewbits.report.chart.Chart.svg", lambda _: b"a picture")
    monkeypatch.setitem(SINKS._own, "noting", Sink("notes", lambda *_: Noting(fail_at=0)))  # pyright: ignore
    folder = write_study(make_runs(0))
    assert main(["report", str(folder), "--track", "noting"]) == 2
    assert "fewbits: sink 'noting' has stopped: OSError" in capfd.readouterr().err
    assert (folder / "report.html").exists()
