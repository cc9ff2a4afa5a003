"""Time quantizing a large float32 tensor to block formats: fewbits beside a copy, plain torch and torchao.

The contestants take turns, round after round, so that a busy machine slows all of them alike; each one's figure is the
median over the rounds of its ratio to `copy_` of the same round. What is not installed is named with the reason.

    python benchmarks/quantize_blocks.py [--elements 12800000] [--threads 2] [--rounds 15] [--json FILE]
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

LIMITS = {"mxfp4": 2.0, "mxint8": 2.0, "nvfp4": 2.0}
"""Formats, each with the largest ratio to a copy that the project allows itself."""

MORE = ("mxfp8-e4m3", "nvint4")

Work = Callable[[], object]


def plain_mxfp4(x: Tensor) -> Tensor:
    """Microxcaling's method in plain torch: shared exponents, then rounding by scaling each element's binade."""
    blocks = x.view(-1, 32)
    amax = blocks.abs().amax(1, keepdim=True)
    scale = torch.exp2(torch.floor(torch.log2(amax + (amax == 0) * 2.0**-126)) - 2)
    scaled = blocks / scale
    exponents = torch.floor(torch.log2(scaled.abs() + (scaled == 0))).clamp_min(0)
    place = torch.exp2(exponents - 1)
    return ((scaled / place).round() * place).clamp(-6, 6).mul_(scale).view_as(x)


def torchao_mxfp4(x: Tensor) -> Work:
    """Torchao's `to_mx` and back, eager."""
    from torchao.prototype.mx_formats.mx_tensor import MXTensor

    return lambda: MXTensor.to_mx(x, torch.float4_e2m1fn_x2, 32).dequantize(torch.float32)


def contestants(x: Tensor, out: Tensor) -> dict[str, Callable[[], Work]]:
    """Name to what prepares the timed call."""

    def fewbits_pass(name: str) -> Work:
        number_format = parse_format(name)
        return lambda: number_format.quantize(x, out=out)

    return {
        "copy_": lambda: lambda: out.copy_(x),
        **{f"fewbits {name}": (lambda name=name: fewbits_pass(name)) for name in (*LIMITS, *MORE)},
        "plain torch, mxfp4": lambda: lambda: plain_mxfp4(x),
        "torchao, mxfp4": lambda: torchao_mxfp4(x),
    }


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
    parser.add_argument("--elements", type=int, default=12_800_000, help="a multiple of 32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = torch.randn(arguments.elements, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain_mxfp4(x[:3200]), parse_format("mxfp4").quantize(x[:3200]))
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
