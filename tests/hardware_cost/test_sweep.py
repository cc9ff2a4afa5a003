"""Many points of precision x accelerator cost what each costs by itself, in order, however many processes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import fewbits as fb
from fewbits import HardwareError
from fewbits.hardware import Accelerator, costs

PRECISIONS = ("fixed8", "fixed4", "float32")
ACCELERATORS = (None, "diannao-16x16", Accelerator(neurons=8), Accelerator(neurons=32, bandwidth=3.2))


def test_points_are_those_of_cost_one_accelerator_after_another():
    points = list(costs("lenet", PRECISIONS, ACCELERATORS))
    assert [(one.accelerator, one.precision) for one in points] == [(a, p) for a in ACCELERATORS for p in PRECISIONS]
    for one in points:
        assert one.cost == fb.cost("lenet", one.precision, accelerator=one.accelerator)


def test_processes_find_the_same_points():
    assert list(costs("lenet", PRECISIONS, ACCELERATORS, workers=2)) == list(costs("lenet", PRECISIONS, ACCELERATORS))


def test_a_point_that_is_refused_says_why_and_ends_nothing():
    first, second = costs("lenet", ["fixed17/float16", "fixed8"])
    assert first.cost is None
    assert "fixed17/float16" in first.refusal
    assert second.cost is not None


def test_progress_ends_at_all_points():
    told: list[tuple[int, int]] = []
    list(costs("mlp", PRECISIONS, ACCELERATORS, progress=lambda done, total: told.append((done, total))))
    assert told == [(number, 12) for number in range(1, 13)]


@pytest.mark.parametrize(("precisions", "accelerators"), [((), (None,)), (PRECISIONS, ())])
def test_no_point_is_refused(precisions: tuple[str, ...], accelerators: tuple[None, ...]):
    with pytest.raises(HardwareError, match="at least one precision and one accelerator"):
        costs("lenet", precisions, accelerators)


def test_no_worker_is_refused():
    with pytest.raises(HardwareError, match="workers must be at least 1, not 0"):
        costs("lenet", PRECISIONS, workers=0)


SCRIPT = """
import json, os, signal
from fewbits.hardware import Accelerator, costs
def interrupt(done, total):
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
accelerators = [Accelerator(buffer_rows=rows) for rows in range(16, 4016)]
points = costs("mlp", ["fixed8"], accelerators, workers=2, progress=interrupt)
try:
    list(points)
except KeyboardInterrupt:
    print(json.dumps(open(f"/proc/self/task/{os.getpid()}/children").read().split()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_the_processes():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == []
