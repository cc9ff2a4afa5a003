"""The accelerator as files: Verilog, a self-checking test bench that runs a network on an image, its memories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.accelerator import to_rtlil
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.export.benches import PARTIAL_SUMS, accelerator_bench
from fewbits.hardware.dataflow.diannao.export.constraints import constraints
from fewbits.hardware.dataflow.diannao.export.headers import accelerator_headers, neuron_headers, tile_header
from fewbits.hardware.dataflow.diannao.export.memory_wrappers import BUFFER_PORTS, buffer_widths, memory_wrappers
from fewbits.hardware.dataflow.diannao.export.network import BenchNetwork
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.memory_images import encode_images
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.dataflow.network_compiler import Program
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.simulation import hexadecimal
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.rtl.verilog import MANY_TOPS, module_prefix, to_verilog, verilog_file
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import Workload

README = """
# Accelerator

`tile.v` is the tile of {neurons} neurons, `accelerator.v` the accelerator around it: controller, address generation,
pooling and the way out. `buffers.v` holds Bin, SB and Bout ({rows} rows each), a module each to put a macro into. The
accelerator runs a program of layer descriptors from a memory that answers after {latency} cycles.
`accelerator_bench.v` is such a memory. It holds
{about}.
It compares the sums with those of the bit-exact network, and the cycles with those of the schedule ({cycles}):

    iverilog -g2012 -o bench accelerator_bench.v accelerator.v buffers.v tile.v neuron.v && vvp bench
"""


def accelerator_files(
    design: NeuronDesign, accelerator: Accelerator, bench: BenchNetwork, progress: Progress
) -> dict[str, str]:
    """Texts by file name: Verilog of tile and accelerator, the bench and its memories, a part of the README."""
    network, image = bench.network, bench.image
    prefix = module_prefix(design.name)
    design = design.in_mode(design.modes[0])
    program = compile_network(network, design, accelerator)
    plan = _schedule(workload_of(network), design, accelerator)
    progress(f"the accelerator's bench runs {bench.about}")
    weight_bits = accelerator.neurons * accelerator.synapses * design.weight_lane_bits
    fields = {
        "prefix": prefix,
        "many_tops": MANY_TOPS,
        "pad": 32 - ADDRESS_BITS,
        "latency": accelerator.memory_latency,
        "lanes": design.address_lanes(accelerator.synapses),
        "neurons": accelerator.neurons,
        "rows": accelerator.buffer_rows,
        "code": design.output_port_bits,
        "total": design.accumulator_bits,
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
    }
    codes = encode_images(program.input_rounding, image)[0].tolist() + [0] * program.values
    progress("making the accelerator's Verilog with yosys")
    verilog = _verilog(design, accelerator, prefix)
    return {
        **verilog,
        "accelerator.sdc": constraints(design.key, verilog["accelerator.v"]).text,
        "accelerator_bench.v": accelerator_bench(fields, PARTIAL_SUMS),
        "program.hex": hexadecimal(program.words, WORD_BITS),
        "accelerator_weights.hex": hexadecimal(program.weights, weight_bits),
        "biases.hex": hexadecimal(program.biases, accelerator.neurons * design.accumulator_bits),
        "image.hex": "".join(f"{code:x}\n" for code in codes[: program.values]),
        "results.hex": result_rows(program, network, image, design),
        "README.md": README.format(**fields),
    }


def _schedule(workload: Workload, design: NeuronDesign, accelerator: Accelerator) -> Schedule:
    """A network's layers, each in its mode."""
    found: dict[str, LayerSchedule] = {}
    for mode in design.modes:
        made = design.in_mode(mode)
        split = replace(accelerator, synapses=made.products_per_cycle)
        own = {
            layer.name
            for layer in workload.layers
            if (layer.precision or workload.precision) == mode.name or not layer.has_weights
        }
        plan = schedule(workload, split, pipeline(made, split))
        found = {layer.name: layer for layer in plan.layers if layer.name in own} | found
    return Schedule(tuple(found[layer.name] for layer in workload.layers), accelerator)


def _verilog(design: NeuronDesign, accelerator: Accelerator, prefix: str) -> dict[str, str]:
    """Tile, accelerator and buffers; what is below the tile is in the neuron's file."""
    outer = accelerator_headers(design, accelerator)
    tile = {"tile": tile_header(design, accelerator.neurons)}
    buffers = {f"accelerator.{name}": BUFFER_PORTS for name in buffer_widths(design, accelerator)}
    modules = to_verilog(to_rtlil(design, accelerator), outer | tile | neuron_headers(design), prefix, buffers)
    return {
        "accelerator.v": verilog_file(*(modules[name] for name in outer)),
        "tile.v": verilog_file(modules["tile"]),
        "buffers.v": memory_wrappers(design, accelerator, prefix),
    }


def result_rows(program: Program, network: BitExactNetwork, image: torch.Tensor, design: NeuronDesign) -> str:
    """Rows of the golden sums: a group of channels after another, position by position."""
    bits = design.accumulator_bits
    sums: Any = network.accumulators(image)[0]
    numbers = np.asarray(sums).reshape(-1, sum(program.result_blocks))
    rows: list[str] = []
    for first, channels, position in program.result_places:
        codes = map(design.accumulator_code, numbers[first : first + channels, position].tolist())
        row = sum((code & ((1 << bits) - 1)) << (bits * place) for place, code in enumerate(codes))
        rows.append(f"{row:x}\n")
    return "".join(rows)
