"""An exporter: a C header that computes a chain of linear layers and ReLUs, for a microcontroller.

Of a file `net.h` a program calls `net_run(image, logits)`: `image` are the normalized floats of one image, `logits` the
last layer's accumulators, the very integers that `BitExactNetwork.accumulators` gives; times 2**-NET_FRACTION_BITS they
are the logits. C99, no heap, no libraries but `math.h`.

An exporter takes a `BitExactNetwork` and a path, writes the file, and refuses, naming the operation, what has no form
in it. Here a table says how each operation is written; the operations of fewbits are in `fewbits.bitexact`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewbits import BitExactNetwork, Format, ModelError, Operation
from fewbits.bitexact import Flatten, InputRounding, Linear, ReLU, Rounding
from fewbits.export import Exporter
from fewbits.formats import FixedPoint

_WIDEST = 62
"""Bits of a sum: an int64_t holds it, and half of a step beside it."""

_ROUND = """
/* value / 2**shift, to nearest, ties to even, then saturated */
static int64_t {net}_round(int64_t value, int shift, int64_t low, int64_t high)
{{
    int64_t result = 0;
    if (shift <= 0) {{
        int64_t factor = (int64_t)1 << -shift;
        if (value > high / factor || value < low / factor)
            return value > 0 ? high : low;
        result = value * factor;
    }} else if (shift <= 62) {{
        int64_t step = (int64_t)1 << shift, rest = ((value % step) + step) % step;
        result = (value - rest) / step;
        if (rest > step / 2 || (rest == step / 2 && result % 2 != 0))
            result += 1;
    }}
    return result < low ? low : result > high ? high : result;
}}
"""


def _rounded_images(operation: InputRounding, target: str, sources: list[str], net: str) -> str:
    low, high = _limits(operation, operation.number_format)
    scaled = f"rint(ldexp(image[i], {operation.fraction_bits}))"
    return _loop(operation, f"{target}[i] = (int64_t)fmin(fmax({scaled}, {low}.0), {high}.0);")


def _linear(operation: Linear, target: str, sources: list[str], net: str) -> str:
    if operation.accumulator_bits > _WIDEST or operation.dropped_product_bits:
        raise ModelError(
            f"layer {operation.name!r}: C has no sums of more than {_WIDEST} bits, nor of truncated products"
        )
    outputs, inputs = operation.weight.shape
    weights = ", ".join(str(int(weight)) for weight in operation.weight.integers.flat)
    biases = ", ".join(f"INT64_C({bias})" for bias in operation.bias or (0,) * outputs)
    return (
        f"    static const int64_t weights_{target}[{outputs * inputs}] = {{{weights}}};\n"
        f"    static const int64_t biases_{target}[{outputs}] = {{{biases}}};\n"
        f"    for (int i = 0; i < {outputs}; i++) {{\n"
        f"        {target}[i] = biases_{target}[i];\n"
        f"        for (int j = 0; j < {inputs}; j++)\n"
        f"            {target}[i] += weights_{target}[i * {inputs} + j] * {sources[0]}[j];\n"
        "    }\n"
    )


def _relu(operation: ReLU, target: str, sources: list[str], net: str) -> str:
    return _loop(operation, f"{target}[i] = {sources[0]}[i] > 0 ? {sources[0]}[i] : 0;")


def _rounded(operation: Rounding, target: str, sources: list[str], net: str) -> str:
    low, high = _limits(operation, operation.number_format)
    if operation.shift < -_WIDEST:
        raise ModelError(f"{operation.name!r} moves sums left by {-operation.shift} places: int64_t has no such factor")
    return _loop(operation, f"{target}[i] = {net}_round({sources[0]}[i], {operation.shift}, {low}, {high});")


def _flattened(operation: Flatten, target: str, sources: list[str], net: str) -> str:
    return _loop(operation, f"{target}[i] = {sources[0]}[i];")


_WRITERS: dict[type[Operation], Callable[[Any, str, list[str], str], str]] = {
    InputRounding: _rounded_images,
    Linear: _linear,
    ReLU: _relu,
    Rounding: _rounded,
    Flatten: _flattened,
}


def _limits(operation: Operation, number_format: Format) -> tuple[int, int]:
    if not isinstance(number_format, FixedPoint):
        raise ModelError(
            f"{operation.name!r} rounds to {number_format.name}: the C header rounds to fixed2 to fixed32 alone"
        )
    return number_format.integer_limits


def _loop(operation: Operation, statement: str) -> str:
    return f"    for (int i = 0; i < {_size(operation)}; i++)\n        {statement}\n"


def _size(operation: Operation) -> int:
    size = 1
    for length in operation.output_shape:
        size *= length
    return size


def write(network: BitExactNetwork, path: Path) -> None:
    """Write the header. Raises ModelError, naming the operation, for what it has no form for."""
    net = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    net = f"net_{net}" if net[:1].isdigit() else net
    values = {operation.name: f"v{index}" for index, operation in enumerate(network.operations)}
    steps: list[str] = []
    for operation in network.operations:
        writer = _WRITERS.get(type(operation))
        if writer is None:
            raise ModelError(f"{operation.name!r} is {type(operation).__name__}, for which the C header has no form")
        target = values[operation.name]
        steps.append(f"    int64_t {target}[{_size(operation)}]; /* {operation.name} */\n")
        steps.append(writer(operation, target, [values.get(name, "image") for name in operation.inputs], net))
    last = network.operations[-1]
    path.write_text(
        f"/* {network.precision.name}, by fewbits; times 2**-{net.upper()}_FRACTION_BITS the results are logits */\n"
        f"#include <math.h>\n#include <stdint.h>\n\n"
        f"#define {net.upper()}_FRACTION_BITS {network.logits_fraction_bits}\n"
        f"{_ROUND.format(net=net)}\n"
        f"static void {net}_run(const double *image, int64_t *logits)\n{{\n{''.join(steps)}"
        f"    for (int i = 0; i < {_size(last)}; i++)\n        logits[i] = {values[last.name]}[i];\n}}\n"
    )


exporter = Exporter("a C99 header of a chain of linear layers and ReLUs", write)
