"""Time a compiled step of quantization-aware training against the eager one, and against both of a float network.

A step is forward, loss, backward, optimizer; compiled are forward and backward (torch.compile's default backend, which
needs g++). The contestants take turns, round after round; each one's figure is the median over the rounds of its ratio
to the eager fewbits step of the same round.

    python benchmarks/compiled_step.py [NETWORK ...] [--precision fixed8 ...] [--backend inductor] [--rounds 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from qat_step import BATCH, Problem, Step
from torch import nn
from torch.nn import functional as F

import fewbits

DEFAULT = ("lenet", "resnet20")


def step_of(problem: Problem, model: nn.Module, backend: str | None) -> Step:
    """One training step; backend: None runs eagerly."""
    layout = torch.channels_last
    model = model.to(memory_format=layout).train()  # pyright: ignore[reportCallIssue]
    inputs, labels = problem.images(layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    forward: Callable[[torch.Tensor], torch.Tensor] = (
        model if backend is None else torch.compile(model, fullgraph=True, backend=backend)
    )

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(forward(inputs), labels).backward()
        optimizer.step()

    return step


def quantized(problem: Problem, precision: str) -> nn.Module:
    """The network at a precision."""
    model = fewbits.quantize(problem.model(), precision)
    return fewbits.calibrate(model, problem.images(torch.contiguous_format)[0])


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step, by contestant and round; the first two rounds compile and warm up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 2:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def main() -> None:
    """Measure and print a table for each network and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=DEFAULT, help="as fewbits.models.builder takes them")
    parser.add_argument("--precision", nargs="*", default=("fixed8", "binary/fixed16"))
    parser.add_argument("--backend", default="inductor")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for network in arguments.networks:
        problem = Problem(network)
        for precision in arguments.precision:
            torch._dynamo.reset()
            steps = {
                "eager": step_of(problem, quantized(problem, precision), None),
                f"compiled ({arguments.backend})": step_of(problem, quantized(problem, precision), arguments.backend),
                "float, eager": step_of(problem, problem.model(), None),
                "float, compiled": step_of(problem, problem.model(), arguments.backend),
            }
            times = measure(steps, arguments.rounds)
            print(f"{network}, {precision}, batch {BATCH}, one thread, {arguments.rounds} rounds")
            for name, found in times.items():
                ratio = statistics.median(a / b for a, b in zip(found, times["eager"], strict=True))
                print(f"{name:28}{statistics.median(found):9.2f} ms/step{ratio:9.3f} of eager")


if __name__ == "__main__":
    main()
