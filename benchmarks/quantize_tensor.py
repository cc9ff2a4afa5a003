"""Time quantizing a large float32 tensor into a reused buffer: fewbits beside a copy, torch and Brevitas.

The contestants take turns, round after round, so that a busy machine slows all of them alike; each one's figure is the
median over the rounds of its ratio to `copy_` of the same round. A contestant that is not installed is named with the
reason.

    python benchmarks/quantize_tensor.py [--elements 12800000] [--threads 2] [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fewbits import parse_format

LIMITS = {
    "fixed8": 1.5,
    "fixed16": 1.5,
    "fixed32": 1.5,
    "ternary": 1.5,
    "binary": 1.5,
    "pow2-6": 3.0,
    "fp8-e4m3": 3.0,
    "fp8-e5m2": 3.0,
    "float-e2m1": 3.0,
    "bfloat16": 3.0,
}
"""Formats, each with the largest ratio to a copy that the project allows itself."""

FRACTION_BITS = {"fixed8": 5, "fixed16": 13, "fixed32": 29, "pow2-6": 28}
"""Radix points at which a standard normal tensor neither saturates much nor vanishes; 0 for the rest."""

Work = Callable[[], object]


def contestants(x: Tensor, out: Tensor) -> dict[str, Callable[[], Work]]:
    """Name to what prepares the timed call."""

    def fewbits_pass(name: str) -> Work:
        number_format, fraction_bits = parse_format(name), FRACTION_BITS.get(name, 0)
        return lambda: number_format.quantize(x, fraction_bits, out=out)

    return {
        "copy_": lambda: lambda: out.copy_(x),
        **{f"fewbits {name}": (lambda name=name: fewbits_pass(name)) for name in LIMITS},
        "torch.fake_quantize, 8 bits": lambda: lambda: torch.fake_quantize_per_tensor_affine(x, 2.0**-5, 0, -128, 127),
        "Brevitas, 8 bits": lambda: brevitas_pass(x),
    }


def brevitas_pass(x: Tensor) -> Work:
    """Brevitas' 8-bit quantizer with a power-of-two scale, in evaluation."""
    from brevitas.nn import QuantIdentity
    from brevitas.quant import Int8ActPerTensorFixedPoint

    quantizer = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=False)
    quantizer.train()(x[:65536])  # sets the scale
    quantizer.eval()

    def work() -> object:
        with torch.no_grad():
            return quantizer(x)

    return work


def measure(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a call, by contestant and round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            work()  # torch's threads, idle after the last contestant's turn, keep a core busy for some milliseconds
            start = time.perf_counter()
            work()
            if turn:  # the first round compiles and touches the memory
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--elements", type=int, default=12_800_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = torch.randn(arguments.elements, generator=torch.Generator().manual_seed(0))
    works: dict[str, Work] = {}
    for name, prepare in contestants(x, torch.empty_like(x)).items():
        try:
            works[name] = prepare()
        except ImportError as error:
            print(f"{name}: not measured, not installed ({error})", file=sys.stderr)
    times = measure(works, arguments.rounds)
    figures = {
        name: {
            "ms": round(statistics.median(times[name]), 2),
            "ratio_to_copy": round(
                statistics.median(a / b for a, b in zip(times[name], times["copy_"], strict=True)), 2
            ),
            "limit": LIMITS.get(name.removeprefix("fewbits ")),
        }
        for name in times
    }
    heading = f"{arguments.elements:,} float32, {arguments.threads} threads, {arguments.rounds} rounds"
    print(f"{heading}; torch {torch.__version__}")
    print(f"{'':30}{'ms':>9}{'to copy_':>10}{'limit':>8}")
    for name, figure in figures.items():
        print(f"{name:30}{figure['ms']:9.2f}{figure['ratio_to_copy']:10.2f}{figure['limit'] or '':>8}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
