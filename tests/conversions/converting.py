"""Runs a converter's circuit over words, and says what the bit-exact network makes of them."""

from __future__ import annotations

import numpy as np
import torch
from amaranth.sim import Simulator
from numpy.typing import NDArray

from fewbits.bitexact.floating import nearest_numbers
from fewbits.bitexact.integer import nearest_integers
from fewbits.formats import Format
from fewbits.hardware.datapath.conversion_circuits import Converter
from fewbits.hardware.datapath.conversions import Conversion


def converted(conversion: Conversion, words: list[int], shift: int = 0, relu: bool = False) -> list[int]:
    """Codes that the circuit gives for words, one a cycle."""
    made = Converter(conversion)
    latency = made.latency
    codes: list[int] = []

    async def bench(context) -> None:
        if not conversion.is_exact:
            context.set(made.shift, shift)
            context.set(made.relu, int(relu))
        for cycle, word in enumerate([*words, *[0] * latency]):
            context.set(made.word, word)
            if conversion.is_exact:
                codes.append(context.get(made.code))
                continue
            if cycle >= latency:
                codes.append(context.get(made.code))
            await context.tick()

    simulator = Simulator(made)
    if not conversion.is_exact:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return codes[: len(words)]


def expected(conversion: Conversion, numbers: NDArray[np.float64], shift: int = 0, relu: bool = False) -> list[int]:
    """Codes of the numbers as the bit-exact network rounds sums of integers to floats and the other way round."""
    moved = np.maximum(numbers, 0.0) if relu else numbers
    if relu:
        moved = np.where(numbers > 0, numbers, 0.0)  # no negative zero
    target = conversion.target
    scaled = moved * 2.0**-shift
    if target.arithmetic == "float32":
        rounded = torch.from_numpy(nearest_numbers(scaled, target)).to(torch.float64)
    else:
        rounded = nearest_integers(torch.from_numpy(scaled), target)
    return [int(code) for code in target.code_numbers(rounded)]


def finite_codes(number_format: Format) -> list[int]:
    """All codes that stand for a number that the circuits take: no infinity, no NaN, and none that float32 flushes."""
    codes = [code for code in range(2**number_format.bits) if code not in number_format.unused_codes]
    numbers = number_format.decode(torch.tensor(codes))
    fine = numbers.isfinite() & ((numbers == 0) | (numbers.abs() >= 2.0**-126))
    return [code for code, is_fine in zip(codes, fine.tolist(), strict=True) if is_fine]
