"""The array and its accelerator as files: Verilog, a self-checking bench that runs a network, constraints, a README."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.diannao.export.accelerator import result_rows
from fewbits.hardware.dataflow.diannao.export.benches import NO_PARTIAL_SUMS, accelerator_bench
from fewbits.hardware.dataflow.diannao.export.constraints import constraints
from fewbits.hardware.dataflow.diannao.export.memory_wrappers import BUFFER_PORTS, Wrapped, wrappers
from fewbits.hardware.dataflow.diannao.export.network import BenchNetwork, fresh_network, given_network
from fewbits.hardware.dataflow.diannao.export.verilog_export import check_place, say_nothing
from fewbits.hardware.dataflow.diannao.memory_images import encode_images
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.dataflow.exported import Exported, HandOver
from fewbits.hardware.dataflow.systolic.circuit.accelerator import OUTPUT_STAGE, to_rtlil
from fewbits.hardware.dataflow.systolic.compiler import compile_network
from fewbits.hardware.dataflow.systolic.export.headers import headers
from fewbits.hardware.dataflow.systolic.latency import pipeline
from fewbits.hardware.dataflow.systolic.scheduling import schedule
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.element_arithmetic import element_design
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.datapath.processing_element import ELEMENT, element_rtlil
from fewbits.hardware.datapath.simulation import hexadecimal
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.rtl.verilog import MANY_TOPS, module_prefix, to_verilog, verilog_file
from fewbits.hardware.workload.networks import workload_of
from fewbits.output_folder import OutputFolder

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork

FILES = {
    "array.v": "the array, and its processing element",
    "accelerator.v": "the accelerator around it",
    "buffers.v": "the buffers, a module each, to put macros into",
    "element.sdc": "constraints of the processing element",
    "accelerator.sdc": "constraints of the accelerator",
    "accelerator_bench.v": "self-checking bench of the accelerator: a network on an image, in the .hex files",
}
"""What each file is."""

README = """# Systolic array {name}, {rows} x {columns}

`array.v` is a weight-stationary systolic array of {rows} rows (synapses) by {columns} columns (output channels), and
its processing element ({multiplier}). `accelerator.v` is the accelerator around it: controller, address generation, the
accumulators' adders, output stages, pooling and the way out. `buffers.v` holds the buffers of inputs
({input_rows} rows), accumulators ({accumulator_rows}) and outputs ({output_rows}), a module each to put a macro into.
The accelerator runs a program of layer descriptors from a memory that answers after {latency} cycles.

`accelerator_bench.v` is such a memory. It holds
{about}.
It compares the sums with those of the bit-exact network, and the cycles with those of the schedule ({cycles}):

    iverilog -g2012 -o bench accelerator_bench.v accelerator.v buffers.v array.v && vvp bench

**Cycles.** A fold of T positions takes T + 2 x {rows} + {columns} - 2: weights move in, a row a cycle, inputs follow,
the last ones pass the array. A layer has a fold for each {rows} of its synapses and {columns} of its output channels.

**Reset.** `rst` is synchronous, and one cycle of it is enough, whatever the registers hold: it clears valid bits, state
and counters. Registers of data have no reset, and none has an initial value. Before the reset, outputs mean nothing.

**Names.** All modules begin with `{prefix}_`, so that circuits of several precisions fit on one chip. All files pass
`verilator --lint-only`. Each module's header says what it is, what its ports mean, and its latency.

`accelerator.sdc` holds the clock of {clock_mhz:g} MHz
({clock_source}) and assumed delays of the ports.

Made by `fewbits rtl {command} --accelerator systolic-ws`.
"""


def export_verilog(
    precision: str,
    out: Path,
    *,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    model: str | None = None,
    dataset: str = "digits",
    network: BitExactNetwork | None = None,
    images: Tensor | None = None,
    origin: str = "the network that was given",
    accelerator: Systolic | None = None,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
) -> tuple[Path, ...]:
    """Write array and accelerator with bench and memories to a folder, and return their paths.

    Arguments and errors are those of `diannao.export.export_verilog`; floats are refused with a HardwareError.
    """
    say, array = progress or say_nothing, accelerator or Systolic()
    product_bits = network.product_bits if network is not None and product_bits is None else product_bits
    made = design(precision, multiplier=multiplier, product_bits=product_bits)
    element_design(made)  # refuses floats before any work
    folder = OutputFolder(out, HardwareError)
    folder.check(("README.md", "array.v"))
    check_place(out)
    if network is not None or images is not None:
        bench = given_network(made, network, images, origin)
    else:
        bench = fresh_network(made, model, dataset)
    texts = _texts(made, array, bench, say)
    if hand_over is not None:
        more = hand_over(_exported(made, array, bench), say)
        texts = {**texts, **more, "README.md": texts["README.md"] + more.get("README.md", "")}
    say(f"writing {len(texts)} files")
    return folder.write({name: text.encode() for name, text in texts.items()})


def _exported(made: NeuronDesign, array: Systolic, bench: BenchNetwork) -> Exported:
    prefix = module_prefix(made.name)
    element, whole = f"{prefix}_{ELEMENT}", f"{prefix}_accelerator"
    return Exported(
        made,
        array,
        bench.network,
        bench.image,
        bench.about,
        datapath="element",
        rtlil=element_rtlil(made, array.rows),
        tops={element: "element.sdc", whole: "accelerator.sdc"},
        sources={element: ("array.v",), whole: ("array.v", "accelerator.v")},
        kept=(element,),
        memories="buffers.v",
        ports={},
        files=FILES,
    )


def _texts(made: NeuronDesign, array: Systolic, bench: BenchNetwork, say: Progress) -> dict[str, str]:
    """All files by name."""
    program = compile_network(bench.network, made, array)
    plan = schedule(workload_of(bench.network), array, pipeline(made, array))
    say(f"the accelerator's bench runs {bench.about}")
    say("making the accelerator's Verilog with yosys")
    prefix = module_prefix(made.name)
    verilog = _verilog(made, array, prefix)
    key = replace(made.key, element="processing-element")
    timing = constraints(key, verilog["accelerator.v"])
    element = verilog["array.v"][verilog["array.v"].index(f"module {prefix}_{ELEMENT}") :]
    weight_bits = array.columns * made.precision.weights.bits
    fields = {
        "prefix": prefix,
        "name": made.name,
        "command": made.key.arguments,
        "multiplier": made.element_multiplier,
        "many_tops": MANY_TOPS,
        "pad": 32 - ADDRESS_BITS,
        "latency": array.memory_latency,
        "rows": array.rows,
        "columns": array.columns,
        "lanes": array.rows,
        "neurons": array.columns,
        "input_rows": array.input_rows,
        "accumulator_rows": array.accumulator_rows,
        "output_rows": array.output_rows,
        "code": made.output_bits,
        "total": made.accumulator_bits,
        "word": WORD_BITS,
        "address": ADDRESS_BITS,
        "program_rows": len(program.words),
        "weights": weight_bits,
        "weight_rows": len(program.weights),
        "bias_rows": len(program.biases),
        "values": program.values,
        "result_rows": len(program.result_places),
        "cycles": plan.cycles,
        "limit": 2 * plan.cycles,
        "about": bench.about,
        "clock_mhz": timing.clock_mhz,
        "clock_source": timing.clock_source,
    }
    codes = encode_images(program.input_rounding, bench.image)[0].tolist() + [0] * program.values
    return {
        **verilog,
        "accelerator.sdc": timing.text,
        "element.sdc": constraints(key, element).text,
        "accelerator_bench.v": accelerator_bench(fields, NO_PARTIAL_SUMS),
        "program.hex": hexadecimal(program.words, WORD_BITS),
        "accelerator_weights.hex": hexadecimal(program.weights, weight_bits),
        "biases.hex": hexadecimal(program.biases, array.columns * made.accumulator_bits),
        "image.hex": "".join(f"{code:x}\n" for code in codes[: program.values]),
        "results.hex": result_rows(program, bench.network, bench.image, made),
        "README.md": README.format(**fields),
    }


def _verilog(made: NeuronDesign, array: Systolic, prefix: str) -> dict[str, str]:
    """Accelerator, array and buffers."""
    inputs, sums = array.rows * made.precision.inputs.bits, array.columns * made.accumulator_bits
    outputs = array.columns * made.output_bits
    buffers = [
        Wrapped("inputs", array.input_rows, inputs, "rows of inputs, read at most once a cycle"),
        Wrapped("accumulators", array.accumulator_rows, sums, "rows of sums that further row folds are added to"),
        Wrapped("outputs", array.output_rows, outputs, "rows of outputs on their way to memory"),
    ]
    left_out = {f"accelerator.{one.name}": BUFFER_PORTS for one in buffers}
    modules = to_verilog(to_rtlil(made, array), headers(made, array), prefix, left_out)
    return {
        "accelerator.v": verilog_file(*(modules[name] for name in ("accelerator", "lane", OUTPUT_STAGE))),
        "array.v": verilog_file(*(modules[name] for name in ("array", ELEMENT))),
        "buffers.v": wrappers(buffers, prefix),
    }
