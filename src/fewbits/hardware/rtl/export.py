"""The circuit as files: Verilog, self-checking test benches with golden vectors, and a README."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from fewbits.errors import HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.rtl.design import NeuronDesign, design
from fewbits.hardware.rtl.neuron import to_verilog
from fewbits.hardware.rtl.simulate import hexadecimal
from fewbits.hardware.rtl.vectors import Vectors, make_vectors

CHUNKS = 1000

_BENCH = """// Self-checking test bench: feeds golden vectors to the neuron and compares what comes out.
`timescale 1ns/1ps
module neuron_bench;
  localparam CHUNKS = {chunks}, CYCLES = {cycles};
  reg clk = 0, rst = 1;
  reg [{weights} - 1:0] weights_at [0:CYCLES - 1];
  reg [{inputs} - 1:0] inputs_at [0:CYCLES - 1];
  reg [{total} - 1:0] bias_at [0:CYCLES - 1];
  reg [1:0] control_at [0:CYCLES - 1];
  reg [{total} - 1:0] total_at [0:CHUNKS - 1];
  reg [{output} - 1:0] output_at [0:CHUNKS - 1];
  reg [{weights} - 1:0] weights;
  reg [{inputs} - 1:0] inputs;
  reg [{total} - 1:0] bias;
  reg first, last;
  wire [{output} - 1:0] \\output ;
  wire [{total} - 1:0] total;
  wire valid;
  integer cycle, errors = 0, checked = 0;
  neuron dut(.clk(clk), .rst(rst), .weights(weights), .inputs(inputs), .first(first), .last(last), .bias(bias),
             .shift({shift_bits}'d{shift}), .relu(1'd{relu}), .\\output (\\output ), .valid(valid), .total(total));
  initial begin
    $readmemh("weights.hex", weights_at);
    $readmemh("inputs.hex", inputs_at);
    $readmemh("bias.hex", bias_at);
    $readmemh("control.hex", control_at);
    $readmemh("total.hex", total_at);
    $readmemh("output.hex", output_at);
    #1 clk = 1;
    #2 clk = 0;
    rst = 0;
    for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
      weights = weights_at[cycle];
      inputs = inputs_at[cycle];
      bias = bias_at[cycle];
      {{last, first}} = control_at[cycle];
      #1;
      if (cycle >= {accumulator_delay} && cycle - {accumulator_delay} < CHUNKS)
        if (total !== total_at[cycle - {accumulator_delay}]) errors = errors + 1;
      if (cycle >= {stages} && cycle - {stages} < CHUNKS) begin
        checked = checked + 1;
        if (valid !== 1'b1 || \\output  !== output_at[cycle - {stages}]) errors = errors + 1;
      end
      #1 clk = 1;
      #2 clk = 0;
    end
    if (errors == 0 && checked == CHUNKS) $display("PASS: %0d chunks", checked);
    else $display("FAIL: %0d errors in %0d chunks", errors, checked);
    $finish;
  end
endmodule
"""

_README = """# Neuron {name}

`neuron.v` is one neuron of {synapses} synapses ({multiplier}), pipelined in {stages} stages, with an accumulator of
{total} bits. Each cycle it takes {synapses} weight codes of {weight_bits} bits and {synapses} input codes of
{input_bits} bits, synapse 0 in the lowest bits. `first` and `last` mark an output's first and last chunk; `bias` is
read {bias_delay} cycles after a first chunk; `shift` and `relu` are settings of a layer. `valid` marks `output`.

`neuron_bench.v` feeds {chunks} golden vectors, computed by exact arithmetic apart from the RTL, and checks each
accumulator and output:

    iverilog -g2012 -o bench neuron_bench.v neuron.v && vvp bench

Made by `fewbits rtl {command}`.
"""

_OWNERS_MARK = "Made by `fewbits rtl "
"""What the README of a folder says that an earlier export wrote, so that it may be written anew."""


def export_verilog(
    precision: str,
    out: Path,
    *,
    multiplier: str = "booth",
    product_bits: int | None = None,
    model: str | None = None,
    dataset: str = "digits",
) -> tuple[Path, ...]:
    """Write neuron, tile and accelerator, their benches with vectors and a README to a folder, and return their paths.

    multiplier, product_bits: as for `design`. model: the network that the accelerator's bench runs on an image of the
    data set `dataset`; None is a small one of its own. Raises FormatError or HardwareError for a precision without a
    datapath, HardwareError if the folder can't be used, if files of these names in it are not an earlier export's or if
    the network does not fit the accelerator, ModelError or DataError for a network or a data set that cannot be used.
    """
    from fewbits.hardware.rtl.export_accelerator import accelerator_files  # loads torch: late

    chosen = design(precision, multiplier=multiplier, product_bits=product_bits)
    with _writing(out):  # before the work that would be lost
        out.mkdir(parents=True, exist_ok=True)
    accelerator = accelerator_files(chosen, Accelerator(), model, dataset)
    texts = {"neuron.v": to_verilog(chosen), **_bench_files(chosen, make_vectors(chosen, CHUNKS))}
    texts = {**accelerator, **texts, "README.md": texts["README.md"] + accelerator["README.md"]}
    with _writing(out):
        _check_owner(out, texts)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    return tuple(out / name for name in texts)


def _check_owner(out: Path, names: Iterable[str]) -> None:
    """Raise HardwareError if files of these names lie there that no export wrote."""
    there = [name for name in names if (out / name).exists()]
    readme = out / "README.md"
    if there and not (readme.is_file() and _OWNERS_MARK in readme.read_text(encoding="utf-8", errors="replace")):
        raise HardwareError(f"{out} holds a {there[0]} that fewbits did not write: choose another folder with --out")


@contextmanager
def _writing(out: Path) -> Generator[None]:
    """Say which folder could not be written to."""
    try:
        yield
    except OSError as error:
        raise HardwareError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from error


def _bench_files(chosen: NeuronDesign, vectors: Vectors) -> dict[str, str]:
    operands = vectors.operands(chosen)
    total, output = chosen.accumulator_bits, chosen.output_bits
    control = [int(first) | int(last) << 1 for first, last in zip(operands.first, operands.last, strict=True)]
    fields = {
        "name": chosen.name,
        "command": _command(chosen),
        "multiplier": chosen.multiplier,
        "synapses": chosen.synapses,
        "weight_bits": chosen.precision.weights.bits,
        "input_bits": chosen.precision.inputs.bits,
        "weights": chosen.precision.weights.bits * chosen.synapses,
        "inputs": chosen.precision.inputs.bits * chosen.synapses,
        "total": total,
        "output": output,
        "chunks": len(vectors.first),
        "cycles": len(control),
        "shift_bits": chosen.shift_bits,
        "shift": vectors.shift,
        "relu": int(vectors.relu),
        "bias_delay": chosen.bias_delay,
        "accumulator_delay": chosen.accumulator_delay,
        "stages": chosen.pipeline_stages,
    }
    return {
        "neuron_bench.v": _BENCH.format(**fields),
        "README.md": _README.format(**fields),
        "weights.hex": hexadecimal(operands.weights, chosen.precision.weights.bits * chosen.synapses),
        "inputs.hex": hexadecimal(operands.inputs, chosen.precision.inputs.bits * chosen.synapses),
        "bias.hex": hexadecimal(operands.bias, total),
        "control.hex": "".join(f"{value:x}\n" for value in control),
        "total.hex": "".join(f"{value & ((1 << total) - 1):x}\n" for value in vectors.totals),
        "output.hex": "".join(f"{value & ((1 << output) - 1):x}\n" for value in vectors.outputs),
    }


def _command(chosen: NeuronDesign) -> str:
    """The arguments that ask for a design."""
    cut = "" if chosen.kept_product_bits is None else f" --product-bits {chosen.kept_product_bits}"
    return chosen.precision.name + ("" if chosen.architecture == "booth" else " --multiplier array") + cut
