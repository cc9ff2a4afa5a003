"""Simulation of a whole accelerator with its memory: RTL compiled by CXXRTL and g++, images run from end to end.

For accelerators with the controller and the memory ports of DianNao's circuit, whatever computes between them.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fewbits.bitexact import BitExactNetwork
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.diannao.memory_images import Words, encode_images
from fewbits.hardware.dataflow.diannao.program import WORD_BITS
from fewbits.hardware.dataflow.network_compiler import Program
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.simulation import compiled_simulator, unpack, words_of
from fewbits.hardware.mapping.synthesis import Progress

_DRIVER = """// Runs the accelerator on one image, and is its memory.
#include <cstring>
#include <vector>
#include "circuit.cc"

template <size_t Bits> static void set(cxxrtl::value<Bits> &port, const uint32_t *words) {
  for (size_t i = 0; i < port.chunks; i++) port.data[i] = words[i];
}

template <size_t Bits> static const uint32_t *words(const cxxrtl::value<Bits> &port) { return port.data; }
template <size_t Bits> static const uint32_t *words(const cxxrtl::wire<Bits> &port) { return port.curr.data; }

static void put(uint32_t *row, size_t bit, size_t bits, uint32_t code) {
  row[bit / 32] |= code << bit % 32;
  if (bit % 32 + bits > 32) row[bit / 32 + 1] |= code >> (32 - bit % 32);
}

static uint32_t cut(const uint32_t *row, size_t bit, size_t bits) {
  uint64_t pair = row[bit / 32];
  if (bit % 32 + bits > 32) pair |= (uint64_t)row[bit / 32 + 1] << 32;
  return pair >> bit % 32 & ((1ull << bits) - 1);
}

struct Memory {
  const uint32_t *program, *weights;
  uint32_t *biases, *values, *results;
  int64_t program_rows, weight_rows, bias_rows, value_count, result_rows;
};

extern "C" int64_t run(Memory *memory, int64_t limit, int64_t latency, int64_t lanes, int64_t neurons,
                       int64_t code_bits, int64_t *accesses, int64_t *partial_sums) {
  cxxrtl_design::p_accelerator top;
  const size_t program_words = top.p_program__word.chunks, weight_words = top.p_weight__data.chunks;
  const size_t bias_words = top.p_bias__data.chunks, load_words = top.p_load__data.chunks;
  const size_t total = program_words + weight_words + bias_words + load_words;
  std::vector<uint32_t> answers(latency * total);
  std::vector<int64_t> partial_lanes(memory->bias_rows);  // of a row that holds partial sums
  int64_t result = 0, cycles = 0;
  top.p_rst.data[0] = 1;
  while (top.eval(), top.commit()) {}
  top.p_clk.data[0] = 1;
  while (top.eval(), top.commit()) {}
  top.p_rst.data[0] = 0;
  top.p_start.data[0] = 1;
  for (int64_t cycle = 0;; cycle++) {
    uint32_t *answer = &answers[cycle % latency * total];
    set(top.p_program__word, answer);
    set(top.p_weight__data, answer + program_words);
    set(top.p_bias__data, answer + program_words + weight_words);
    set(top.p_load__data, answer + program_words + weight_words + bias_words);
    top.p_clk.data[0] = 0;
    while (top.eval(), top.commit()) {}
    if (cycle > 0) {
      if (words(top.p_done)[0]) return result == memory->result_rows ? cycles : -2;
      if (++cycles > limit) return -1;
      top.p_start.data[0] = 0;
    }
    std::memset(answer, 0, total * sizeof(uint32_t));
    uint32_t address;
    if (words(top.p_program__request)[0]) {
      if ((address = words(top.p_program__address)[0]) >= memory->program_rows) return -3;
      std::memcpy(answer, memory->program + address * program_words, program_words * 4);
    }
    if (words(top.p_weight__request)[0]) {
      if ((address = words(top.p_weight__address)[0]) >= memory->weight_rows) return -4;
      std::memcpy(answer + program_words, memory->weights + address * weight_words, weight_words * 4);
    }
    if (words(top.p_bias__request)[0]) {
      if ((address = words(top.p_bias__address)[0]) >= memory->bias_rows) return -5;
      std::memcpy(answer + program_words + weight_words, memory->biases + address * bias_words, bias_words * 4);
      partial_sums[1] += partial_lanes[address];
    }
    for (int64_t lane = 0; lane < lanes; lane++) {
      if (!(words(top.p_load__request)[lane / 32] >> lane % 32 & 1)) continue;
      if ((address = words(top.p_load__address)[lane]) >= memory->value_count) return -6;
      put(answer + total - load_words, lane * code_bits, code_bits, memory->values[address]);
    }
    for (int i = 0; i < 6; i++) accesses[i] += words(top.p_accesses)[0] >> i & 1;
    if (words(top.p_store__valid)[0]) {
      for (int64_t lane = 0; lane < neurons; lane++) {
        if (!(words(top.p_store__mask)[lane / 32] >> lane % 32 & 1)) continue;
        address = words(top.p_store__address)[0] + lane * words(top.p_store__stride)[0];
        if (address >= memory->value_count) return -7;
        memory->values[address] = cut(words(top.p_store__data), lane * code_bits, code_bits);
      }
    }
#ifdef PARTIAL_SUMS
    if (words(top.p_partial__valid)[0]) {
      if ((address = words(top.p_store__address)[0]) >= memory->bias_rows) return -9;
      std::memcpy(memory->biases + address * bias_words, words(top.p_result__data), bias_words * 4);
      partial_lanes[address] = 0;
      for (int64_t lane = 0; lane < neurons; lane++)
        partial_lanes[address] += words(top.p_result__mask)[lane / 32] >> lane % 32 & 1;
      partial_sums[0] += partial_lanes[address];
    }
#endif
    if (words(top.p_result__valid)[0]) {
      if (result == memory->result_rows) return -8;
      std::memcpy(memory->results + result++ * bias_words, words(top.p_result__data), bias_words * 4);
    }
    top.p_clk.data[0] = 1;  // registers only: the next cycle settles what follows from them
    top.eval();
    top.commit();
  }
}
"""

_FAULTS = {
    -1: "did not finish",
    -2: "gave too few results",
    -3: "read beyond the program",
    -4: "read beyond the weights",
    -5: "read beyond the biases",
    -6: "read beyond the values",
    -7: "wrote beyond the values",
    -8: "gave too many results",
    -9: "wrote beyond the biases and partial sums",
}


class _Memory(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("program", "weights", "biases", "values", "results")),
        *(
            (name, ctypes.c_int64)
            for name in ("program_rows", "weight_rows", "bias_rows", "value_count", "result_rows")
        ),
    )


@dataclass(frozen=True)
class Run:
    """What the accelerator computed of one image."""

    logits: list[int] | list[float]
    """The last layer's accumulators, outputs in order."""

    cycles: int
    accesses: dict[str, int]
    """Rows written and read in each memory on the chip: `NAME_writes`, `NAME_reads`."""

    partial_sums: tuple[int, int]
    """Sums that were stored off the chip to be continued, and loaded from there."""


@dataclass(frozen=True)
class Ports:
    """What the simulated memory must know of an accelerator."""

    lanes: int
    """Values that the load port takes at a time."""

    row: int
    """Outputs side by side: those of a row that is stored, biases of a row, sums of a row of the result."""

    latency: int
    memories: tuple[str, ...]
    """Names of the memories on the chip, in the order of the port `accesses`: each written, then read."""

    partial_sums: bool
    """Whether sums may leave to be continued later."""


class NetworkSimulator(ABC):
    """A compiled accelerator. Raises HardwareError if g++ or yosys is missing or fails."""

    def __init__(self, rtlil: str, design: NeuronDesign, ports: Ports, progress: Progress | None = None) -> None:
        self.design = design
        self._ports = ports
        driver = ("#define PARTIAL_SUMS\n" if ports.partial_sums else "") + _DRIVER
        self._library = ctypes.CDLL(str(compiled_simulator(rtlil, "accelerator", driver, progress)))
        self._library.run.restype = ctypes.c_int64
        self._counted = tuple(f"{name}_{way}" for name in ports.memories for way in ("writes", "reads"))

    @abstractmethod
    def program(self, network: BitExactNetwork) -> Program:
        """A network compiled for this accelerator. Raises HardwareError if it does not fit."""

    def run(
        self, network: BitExactNetwork, images: torch.Tensor, *, cycle_limit: int = 10**9, threads: int = 1
    ) -> list[Run]:
        """Compute images one after another, each after one cycle of reset.

        images: as for `network.run`. Raises HardwareError if the network does not fit, or if the circuit misbehaves.
        """
        program = self.program(network)

        def run(codes: Words) -> Run:
            return self._run(program, codes, cycle_limit)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, encode_images(program.input_rounding, images)))

    def _run(self, program: Program, codes: Words, cycle_limit: int) -> Run:
        values = np.zeros(program.values, np.uint32)
        values[: len(codes)] = codes
        rows = len(program.result_places)
        results = np.zeros((rows, words_of(self.design.accumulator_bits * self._ports.row)), np.uint32)
        accesses = np.zeros(len(self._counted), np.int64)
        partial_sums = np.zeros(2, np.int64)
        program_words = words_of(WORD_BITS)
        biases = program.biases.copy()  # partial sums are written behind them
        memory = _Memory(
            *(array.ctypes.data for array in (program.words, program.weights, biases, values, results)),
            len(program.words.reshape(-1, program_words)), len(program.weights), len(biases), len(values), rows,
        )  # fmt: skip
        cycles = self._library.run(
            ctypes.byref(memory),
            *(ctypes.c_int64(number) for number in (
                cycle_limit, self._ports.latency, self._ports.lanes, self._ports.row, self.design.precision.inputs.bits,
            )),
            ctypes.c_void_p(accesses.ctypes.data),
            ctypes.c_void_p(partial_sums.ctypes.data),
        )  # fmt: skip
        if cycles < 0:
            raise HardwareError(f"the simulated accelerator {_FAULTS[cycles]}: this is a fault of its circuit")
        counts = {name: int(count) for name, count in zip(self._counted, accesses, strict=True)}
        stored, loaded = partial_sums.tolist()
        return Run(self._logits(program, results), cycles, counts, (stored, loaded))

    def _logits(self, program: Program, results: Words) -> Any:
        """Accumulators by output channel, then position."""
        bits, positions = self.design.accumulator_bits, sum(program.result_blocks)
        outputs: list[Any] = [None] * (sum(program.result_channels) * positions)
        for (first, channels, position), row in zip(program.result_places, results, strict=True):
            number = unpack(row.reshape(1, -1), bits * self._ports.row, signed=False)[0]
            for channel in range(channels):
                code = number >> (bits * channel) & ((1 << bits) - 1)
                outputs[(first + channel) * positions + position] = self.design.accumulator_number(code)
        return outputs
