"""What the rewrites' self-checks cost: fold, equalize, quantize and lower on ResNet-20, against another checkout.

    python benchmarks/self_checks.py ../other-checkout

The two take turns in processes of their own, one thread each; medians of all calls, in milliseconds of processor time
(so that other work on the machine counts little), and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CALLS = 7
"""Measured calls of each kind in a process, after one that is not measured."""


def measure() -> dict[str, list[float]]:
    """Processor milliseconds of each call, by what is called, of the fewbits that this process imports."""
    import torch

    import fewbits as fb
    from fewbits.models import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, images = build("resnet20", seed=0).eval(), torch.randn(32, 3, 32, 32)
    folded = fb.fold_batch_norm(model)
    quantized = fb.quantize(folded, "fixed8")
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images[:1])
    training = fb.quantize(folded, "fixed8").train()
    fb.calibrate(training, images)

    def step() -> None:
        training(images).square().mean().backward()

    calls: dict[str, Callable[[], object]] = {
        "fold_batch_norm": lambda: fb.fold_batch_norm(model),
        "equalize_channels": lambda: fb.equalize_channels(folded),
        "quantize": lambda: fb.quantize(folded, "fixed8"),
        "lower": lambda: fb.lower(quantized, images[:1]),
        "calibrate": lambda: fb.calibrate(training, images),
        "training step": step,
        "run": lambda: network.run(images),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(CALLS + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if number:
                times[name].append(1000 * (time.process_time() - start))
    return times


def main() -> None:
    """Run both in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, nargs="?", help="a checkout to compare with, such as one before a change")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure()))
        return
    sources = {"this": Path(__file__).parents[1] / "src"}
    if arguments.other is not None:
        sources["other"] = arguments.other / "src"
    times: dict[str, dict[str, list[float]]] = {side: {} for side in sources}
    for _ in range(arguments.rounds):
        for side, source in sources.items():
            environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--measure"]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            for name, found in json.loads(done.stdout).items():
                times[side].setdefault(name, []).extend(found)
    for name in times["this"]:
        medians = {side: statistics.median(found[name]) for side, found in times.items()}
        ratio = f"  {medians['this'] / medians['other']:5.2f} times" if "other" in medians else ""
        print(f"{name:20}" + "".join(f"{side} {median:8.2f} ms  " for side, median in medians.items()) + ratio)


if __name__ == "__main__":
    main()
