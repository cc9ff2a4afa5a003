"""Progress for people: what stands in the lines, and the estimate of the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fewbits.study.display import Tally, show_progress
from fewbits.study.events import (
    FLOAT_TRAINING,
    FloatNetworkTrained,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskProgress,
    TaskStarted,
)
from fewbits.study.result import FailedRun

FLOAT = TaskLabel("lenet", "digits", "float32", FLOAT_TRAINING, 0)
FLOAT_RUN = TaskLabel("lenet", "digits", "float32", "float", 0)
FIXED8 = TaskLabel("lenet", "digits", "fixed8", "fine-tune", 0)
STARTED = StudyStarted("s", runs=2, finished=0, epochs=20, workers=2)
FAILED = FailedRun(
    key="k", model="lenet", data="digits", precision="fixed8", recipe="fine-tune", seed=0, error="diverged"
)


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(label: TaskLabel, epochs_done: float, accuracy: float | None = None) -> TaskProgress:
    return TaskProgress(label, int(epochs_done) + 1, 10, epochs_done, 0.25, accuracy)


def tally_after(clock: Clock, seconds: float, *events: object) -> Tally:
    tally = Tally(clock)
    tally.add(STARTED)
    for event in events:
        tally.add(event)
    clock.now = seconds
    return tally


def test_time_left_is_the_epochs_left_at_the_pace_so_far():
    tally = tally_after(Clock(), 10.0, TaskStarted(FLOAT, 10), progress(FLOAT, 0.1), progress(FLOAT, 5.0))
    assert tally.seconds_left == pytest.approx(30.0)


def test_epochs_from_a_checkpoint_are_no_pace():
    events = (TaskStarted(FLOAT, 10), progress(FLOAT, 5.1), progress(FLOAT, 6.0))
    assert tally_after(Clock(), 10.0, *events).seconds_left == pytest.approx(140.0)


def test_an_early_stop_counts_as_all_its_epochs():
    events = (TaskStarted(FLOAT, 10), progress(FLOAT, 5.0), FloatNetworkTrained(FLOAT, 95.0))
    tally = tally_after(Clock(), 10.0, *events)
    assert tally.seconds_left == pytest.approx(10.0 / 5 * 10)


def test_a_network_that_was_on_disk_is_no_pace():
    events = (TaskStarted(FLOAT, 10), FloatNetworkTrained(FLOAT, 95.0), TaskStarted(FIXED8, 10))
    tally = tally_after(Clock(), 10.0, *events, progress(FIXED8, 0.1), progress(FIXED8, 5.0))
    assert tally.seconds_left == pytest.approx(10.0)


def test_without_a_pace_there_is_no_estimate():
    assert tally_after(Clock(), 10.0).seconds_left is None


def test_the_summary_counts_runs(make_result):
    events = (RunFinished(FLOAT_RUN, make_result()), RunFailed(FIXED8, FAILED))
    assert tally_after(Clock(), 0.0, *events).summary == "1 of 2 runs done, 1 failed"


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.0, "about 6 s"), (100.0, "about 5 min"), (4000.0, "about 3 h 20 min")]
)
def test_times_are_said_as_people_say_them(seconds, words):
    events = (TaskStarted(FLOAT, 10), progress(FLOAT, 0.5), progress(FLOAT, 5.0))
    assert words in tally_after(Clock(), seconds, *events).summary


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (FLOAT, "lenet digits float training seed 0"),
        (FLOAT_RUN, "lenet digits float32 seed 0"),
        (FIXED8, "lenet digits fixed8 fine-tune seed 0"),
    ],
)
def test_a_label_names_the_task(label, words):
    assert str(label) == words


@pytest.fixture
def events(make_result):
    return [
        STARTED,
        TaskStarted(FLOAT, 10),
        progress(FLOAT, 2.0, 91.5),
        FloatNetworkTrained(FLOAT, 95.0),
        TaskStarted(FIXED8, 5),
        RunFinished(FLOAT_RUN, make_result()),
        RunFailed(FIXED8, FAILED),
    ]


def shown(events, **console) -> str:
    text = io.StringIO()
    with show_progress(Console(file=text, width=120, **console)) as observer:
        for event in events:
            observer(event)
    return text.getvalue()


def test_without_a_terminal_each_end_is_a_plain_line(events):
    text = shown(events)
    assert "\x1b" not in text
    assert text.splitlines() == [
        "study s: 0 of 2 runs done before, 2 workers",
        "lenet digits float training seed 0: validation 95.00 % (0 of 2 runs done, about 0 s left)",
        "lenet digits float32 seed 0: accuracy 97.50 %, 1.6 µJ an image (1 of 2 runs done, about 0 s left)",
        "lenet digits fixed8 fine-tune seed 0: failed: diverged (1 of 2 runs done, 1 failed, about 0 s left)",
    ]


def test_without_a_terminal_a_long_training_tells_now_and_then(monkeypatch):
    monkeypatch.setattr("fewbits.study.display._QUIET_SECONDS", 0.0)
    text = shown([STARTED, TaskStarted(FLOAT, 10), progress(FLOAT, 2.0, 91.5)])
    assert "float training seed 0: epoch 3 of 10, loss 0.250, validation 91.50 %" in text


def test_on_a_terminal_each_end_scrolls_up(events):
    text = shown(events, force_terminal=True)
    assert "lenet digits fixed8 fine-tune seed 0: failed: diverged" in text


def test_on_a_terminal_tasks_at_work_have_a_line(events):
    text = shown(
        [STARTED, TaskStarted(FIXED8, 5), TaskStarted(FLOAT, 10), progress(FLOAT, 2.0, 91.5)], force_terminal=True
    )
    assert "epoch 3 of 10, loss 0.250, validation 91.50 %" in text
    assert "0 of 2 runs done" in text
    assert "lenet digits fixed8 fine-tune seed 0" in text
