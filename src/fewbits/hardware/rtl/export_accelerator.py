"""The accelerator as files: Verilog, a self-checking test bench that runs a network on a digit, its memories."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork
from fewbits.errors import DataError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.mapping.synthesis import run_yosys
from fewbits.hardware.rtl.accelerator import to_rtlil
from fewbits.hardware.rtl.compiler import Program, compile_network
from fewbits.hardware.rtl.design import NeuronDesign
from fewbits.hardware.rtl.latency import pipeline
from fewbits.hardware.rtl.memory_images import encode_images
from fewbits.hardware.rtl.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.rtl.simulate import hexadecimal
from fewbits.hardware.schedule import schedule
from fewbits.hardware.workload.module_workload import module_workload
from fewbits.hardware.workload.networks import workload_of

_BENCH = """// Self-checking test bench: runs a network on one digit; sums and cycles must be the golden ones.
`timescale 1ns/1ps
module accelerator_bench;
  localparam LATENCY = {latency}, LANES = {lanes}, NEURONS = {neurons}, CODE = {code}, TOTAL = {total};
  reg clk = 0, rst = 0, start = 1;
  reg [{word} - 1:0] words [0:{program_rows} - 1];
  reg [{weights} - 1:0] weights [0:{weight_rows} - 1];
  reg [NEURONS * TOTAL - 1:0] biases [0:{bias_rows} - 1];
  reg [CODE - 1:0] values [0:{values} - 1];
  reg [NEURONS * TOTAL - 1:0] results [0:{result_rows} - 1];
  // Answers of the memory, on their way for LATENCY cycles.
  reg [{word} - 1:0] program_answer [0:LATENCY];
  reg [{weights} - 1:0] weight_answer [0:LATENCY];
  reg [NEURONS * TOTAL - 1:0] bias_answer [0:LATENCY];
  reg [LANES * CODE - 1:0] load_answer [0:LATENCY];
  wire done, program_request, weight_request, bias_request, store_valid, result_valid, partial_valid;
  wire [{address} - 1:0] program_address, weight_address, bias_address, store_address, store_stride;
  wire [LANES - 1:0] load_request;
  wire [32 * LANES - 1:0] load_address;
  wire [NEURONS - 1:0] store_mask, result_mask;
  wire [NEURONS * CODE - 1:0] store_data;
  wire [NEURONS * TOTAL - 1:0] result_data;
  wire [5:0] accesses;
  integer i, lane, cycles = 0, given = 0, errors = 0;
  accelerator dut(
    .clk(clk), .rst(rst), .start(start), .done(done),
    .program_request(program_request), .program_address(program_address), .program_word(program_answer[LATENCY]),
    .load_request(load_request), .load_address(load_address), .load_data(load_answer[LATENCY]),
    .weight_request(weight_request), .weight_address(weight_address), .weight_data(weight_answer[LATENCY]),
    .bias_request(bias_request), .bias_address(bias_address), .bias_data(bias_answer[LATENCY]),
    .store_valid(store_valid), .store_address(store_address), .store_stride(store_stride), .store_mask(store_mask),
    .store_data(store_data), .result_valid(result_valid), .partial_valid(partial_valid), .result_mask(result_mask),
    .result_data(result_data), .accesses(accesses));
  task check_result;
    for (lane = 0; lane < NEURONS; lane = lane + 1)
      if (result_mask[lane] && result_data[lane * TOTAL +: TOTAL] !== results[given][lane * TOTAL +: TOTAL])
        errors = errors + 1;
  endtask
  initial begin
    $readmemh("program.hex", words);
    $readmemh("accelerator_weights.hex", weights);
    $readmemh("biases.hex", biases);
    $readmemh("image.hex", values);
    $readmemh("results.hex", results);
    rst = 1;
    #1 clk = 1;
    #2 clk = 0;
    rst = 0;
    #1 clk = 1;
    #2 clk = 0;
    start = 0;
    #1;
    while (!done && cycles < {limit}) begin
      cycles = cycles + 1;
      for (i = LATENCY; i > 0; i = i - 1) begin
        program_answer[i] = program_answer[i - 1];
        weight_answer[i] = weight_answer[i - 1];
        bias_answer[i] = bias_answer[i - 1];
        load_answer[i] = load_answer[i - 1];
      end
      program_answer[0] = program_request ? words[program_address] : 0;
      weight_answer[0] = weight_request ? weights[weight_address] : 0;
      bias_answer[0] = bias_request ? biases[bias_address] : 0;
      load_answer[0] = 0;
      for (lane = 0; lane < LANES; lane = lane + 1)
        if (load_request[lane]) load_answer[0][lane * CODE +: CODE] = values[load_address[lane * 32 +: 32]];
      if (store_valid)
        for (lane = 0; lane < NEURONS; lane = lane + 1)
          if (store_mask[lane]) values[store_address + lane * store_stride] = store_data[lane * CODE +: CODE];
      if (partial_valid) biases[store_address] = result_data;
      if (result_valid) begin
        check_result;
        given = given + 1;
      end
      #1 clk = 1;
      #2 clk = 0;
      #1;
    end
    if (errors == 0 && given == {result_rows} && cycles == {cycles}) $display("PASS: %0d cycles", cycles);
    else $display("FAIL: %0d errors, %0d rows, %0d cycles", errors, given, cycles);
    $finish;
  end
endmodule
"""

_SMALL = "a small network (convolution, poolings, a matrix product)"

README = """
# Accelerator

`tile.v` is the tile of {neurons} neurons, `accelerator.v` the accelerator around it: controller, address generation,
Bin, SB and Bout ({rows} rows each, as memories to be replaced by macros), pooling and the way out. It runs a program of
layer descriptors from a memory that answers after {latency} cycles. `accelerator_bench.v` is such a memory, holds
{network} and an image of `{data}`,
and compares the sums with those of the bit-exact network, and the cycles with those of the schedule ({cycles}):

    iverilog -g2012 -o bench accelerator_bench.v accelerator.v tile.v neuron.v && vvp bench
"""


def accelerator_files(
    design: NeuronDesign, accelerator: Accelerator, model: str | None = None, dataset: str = "digits"
) -> dict[str, str]:
    """Texts by file name: Verilog of tile and accelerator, the bench and its memories, a part of the README.

    model, dataset: what the bench runs on which images, see `bench_network`.
    """
    image, network = bench_network(design, model, dataset)
    program = compile_network(network, design, accelerator)
    plan = schedule(workload_of(network), accelerator, pipeline(design, accelerator))
    weight_bits = accelerator.neurons * accelerator.synapses * design.precision.weights.bits
    fields = {
        "latency": accelerator.memory_latency,
        "lanes": accelerator.synapses,
        "neurons": accelerator.neurons,
        "rows": accelerator.buffer_rows,
        "code": design.output_bits,
        "total": design.accumulator_bits,
        "word": WORD_BITS,
        "address": ADDRESS_BITS,
        "program_rows": len(program.words),
        "weights": weight_bits,
        "weight_rows": len(program.weights),
        "bias_rows": len(program.biases),
        "values": program.values,
        "result_rows": len(program.result_channels) * program.result_positions,
        "cycles": plan.cycles,
        "limit": 2 * plan.cycles,
        "network": f"the network `{model}`" if model is not None else _SMALL,
        "data": dataset,
    }
    codes = encode_images(program.input_rounding, image)[0].tolist() + [0] * program.values
    return {
        **_verilog(design, accelerator),
        "accelerator_bench.v": _BENCH.format(**fields),
        "program.hex": hexadecimal(program.words, WORD_BITS),
        "accelerator_weights.hex": hexadecimal(program.weights, weight_bits),
        "biases.hex": hexadecimal(program.biases, accelerator.neurons * design.accumulator_bits),
        "image.hex": "".join(f"{code:x}\n" for code in codes[: program.values]),
        "results.hex": _results(program, network, image, design),
        "README.md": README.format(**fields),
    }


def bench_network(
    design: NeuronDesign, model: str | None = None, dataset: str = "digits"
) -> tuple[torch.Tensor, BitExactNetwork]:
    """A test image, and the network with radix points from 16 of them.

    model: as `models.build` takes it, with its initial weights or those that the user's function gives it; None is a
    network of every kind of layer that is small enough for an interpreted simulation. dataset: as `data.load` takes it.
    Raises DataError or ModelError if the network does not take such images.
    """
    loaded = data.load(dataset)
    images = loaded.inputs(loaded.test.images[:16])
    shape = (1, 28, 28) if model is None else models.input_shape(model)
    if shape is not None and tuple(images.shape[1:]) != shape:
        raise DataError(
            f"the bench's network takes images of shape {shape}, data {dataset!r} has {tuple(images.shape[1:])}: "
            "choose a model and data that go together"
        )
    network = _small_network(design) if model is None else fb.fold_batch_norm(models.build(model, seed=0).eval())
    module_workload(network, tuple(images.shape[1:]))  # names the layer that such images do not fit
    quantized = fb.quantize(network, design.precision)
    fb.calibrate(quantized, images)
    return images[:1], fb.lower(quantized, images[:1], product_bits=design.kept_product_bits)


def _small_network(design: NeuronDesign) -> nn.Module:
    """For digits; without an average where the accelerator has none."""
    inputs = design.precision.inputs
    averages = inputs.family == "fixed" or inputs.name == "float32"
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
        return nn.Sequential(
            nn.Conv2d(1, 20, 5, stride=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
            nn.AvgPool2d(2, 2) if averages else nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(80, 10),
        )  # fmt: skip


def _verilog(design: NeuronDesign, accelerator: Accelerator) -> dict[str, str]:
    """Tile and accelerator; what is below the neuron is in its own file."""
    with tempfile.TemporaryDirectory(prefix="fewbits-verilog-") as name:
        folder = Path(name)
        (folder / "accelerator.il").write_text(to_rtlil(design, accelerator), encoding="utf-8")
        script = (
            "read_rtlil accelerator.il\nhierarchy -top accelerator\nproc\nmemory_collect\nopt_clean\n"
            "select tile\nwrite_verilog -noattr -selected tile.v\n"
            "select accelerator accelerator.* lane\nwrite_verilog -noattr -selected accelerator.v\n"
        )
        (folder / "verilog.ys").write_text(script, encoding="utf-8")
        run_yosys(folder, "verilog.ys")
        return {file: (folder / file).read_text(encoding="utf-8") for file in ("tile.v", "accelerator.v")}


def _results(program: Program, network: BitExactNetwork, image: torch.Tensor, design: NeuronDesign) -> str:
    """Rows of the golden sums: a group of channels after another, position by position."""
    bits = design.accumulator_bits
    sums: Any = network.accumulators(image)[0]
    numbers = np.asarray(sums.view(torch.int32) if design.is_float else sums).reshape(-1, program.result_positions)
    rows: list[str] = []
    first = 0
    for channels in program.result_channels:
        for position in numbers[first : first + channels].T.tolist():
            row = sum((number & ((1 << bits) - 1)) << (bits * place) for place, number in enumerate(position))
            rows.append(f"{row:x}\n")
        first += channels
    return "".join(rows)
