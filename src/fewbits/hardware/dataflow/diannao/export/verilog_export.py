"""The circuit as files: Verilog, self-checking test benches with golden vectors, timing constraints and a README."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.export.benches import NEURON_BENCH
from fewbits.hardware.dataflow.diannao.export.constraints import Constraints, constraints
from fewbits.hardware.dataflow.diannao.export.headers import neuron_headers
from fewbits.hardware.dataflow.exported import Exported, HandOver
from fewbits.hardware.datapath.neuron import to_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.datapath.simulation import hexadecimal
from fewbits.hardware.datapath.vectors import Vectors, make_vectors
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.rtl.verilog import MANY_TOPS, module_prefix, verilog_file
from fewbits.hardware.rtl.verilog import to_verilog as modules_of
from fewbits.output_folder import OutputFolder

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.dataflow.diannao.export.network import BenchNetwork

CHUNKS = 1000

FILES = {
    "neuron.v": "the datapath: one neuron",
    "tile.v": "the neurons side by side",
    "accelerator.v": "the accelerator around them",
    "buffers.v": "the buffers, a module each, to put macros into",
    "neuron.sdc": "constraints of the neuron",
    "accelerator.sdc": "constraints of the accelerator",
    "neuron_bench.v": "self-checking bench of the neuron; vectors in weights, inputs, bias, control, total, output.hex",
    "accelerator_bench.v": "self-checking bench of the accelerator: a network on an image, in the other .hex files",
}
"""What each file is."""

README = """# Neuron {name}

`neuron.v` is one neuron of {synapses} synapses, pipelined in {stages} stages, with an accumulator of {total} bits
({multiplier}). Each cycle it takes {synapses} weight codes of {weight_bits} bits and {synapses} input codes of
{input_bits} bits, synapse 0 in the lowest bits{lanes}. `first` and `last` mark an output's first and last chunk;
`bias` is read {bias_delay} cycles after a first chunk; `shift` and `relu`{pins} are settings of a layer.
`valid` marks `output_value`.
{limits}
**Reset.** `rst` is synchronous, and one cycle of it is enough, whatever the registers hold: it clears valid bits, state
and counters. Registers of data have no reset, and none has an initial value. Before the reset, outputs mean nothing.

**Names.** All modules begin with `{prefix}_`, so that circuits of several precisions fit on one chip. All files pass
`verilator --lint-only`. Each module's header says what it is, what its ports mean, and its latency.

`neuron_bench.v` feeds {chunks} golden vectors, computed by exact arithmetic apart from the RTL, and checks each
accumulator and output:

    iverilog -g2012 -o bench neuron_bench.v neuron.v && vvp bench

{constraints} the clock of {clock_mhz:g} MHz
({clock_source}) and assumed delays of the ports.

Made by `fewbits rtl {command}`.
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
    accelerator: Accelerator | None = None,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
) -> tuple[Path, ...]:
    """Write neuron, tile and accelerator, their benches with vectors and a README to a folder, and return their paths.

    multiplier, product_bits: as for `design`. model: the network that the accelerator's bench runs, with fresh weights
    (untrained, unless the user's function trains it), on an image of the data set `dataset`; None is a small one of its
    own. network: instead, a trained one, whose sums on the first of `images` (N, then its input shape; normalized) the
    bench expects; origin: where it is from, for the README. accelerator: the default one if None. progress: is told
    each step, from the first on that can no longer be refused. hand_over: makes more files of what is exported, such as
    `costing.hand_over`. Nothing is written until all files are made.
    Raises FormatError or HardwareError for a precision without a datapath, HardwareError if the folder can't be used,
    if files of these names in it are not as an earlier export wrote them, or if the network is of another precision or
    does not fit the accelerator, ModelError or DataError for a network or data that cannot be used.
    """
    from fewbits.hardware.dataflow.diannao.export.accelerator import accelerator_files  # loads torch: late
    from fewbits.hardware.dataflow.diannao.export.network import fresh_network, given_network

    say = progress or say_nothing
    chosen = accelerator or Accelerator()
    product_bits = network.product_bits if network is not None and product_bits is None else product_bits
    made = design(precision, chosen.synapses, multiplier=multiplier, product_bits=product_bits)
    folder = OutputFolder(out, HardwareError)
    folder.check(("README.md", "neuron.v"))  # before the work that would be lost
    check_place(out)
    if network is not None or images is not None:
        bench = given_network(made, network, images, origin)
    else:
        bench = fresh_network(made, model, dataset)
    accelerator_texts = accelerator_files(made, chosen, bench, say)
    say(f"making the neuron and {CHUNKS} golden vectors")
    texts = _neuron_files(made)
    texts = {**accelerator_texts, **texts, "README.md": texts["README.md"] + accelerator_texts["README.md"]}
    if hand_over is not None:
        more = hand_over(_exported(made, chosen, bench), say)
        texts = {**texts, **more, "README.md": texts["README.md"] + more.get("README.md", "")}
    say(f"writing {len(texts)} files")
    return folder.write({name: text.encode() for name, text in texts.items()})


def _neuron_files(made: NeuronDesign) -> dict[str, str]:
    neuron = to_verilog(made)
    return {"neuron.v": neuron, **_bench_files(made, make_vectors(made, CHUNKS), constraints(made.key, neuron))}


def _exported(made: NeuronDesign, accelerator: Accelerator, bench: BenchNetwork) -> Exported:
    prefix = module_prefix(made.name)
    neuron, whole = f"{prefix}_neuron", f"{prefix}_accelerator"
    return Exported(
        made,
        accelerator,
        bench.network,
        bench.image,
        bench.about,
        datapath="neuron",
        rtlil=to_rtlil(made),
        tops={neuron: "neuron.sdc", whole: "accelerator.sdc"},
        sources={neuron: ("neuron.v",), whole: ("neuron.v", "tile.v", "accelerator.v")},
        kept=tuple(f"{prefix}_{name.rpartition('.')[2]}" for name in neuron_headers(made)),
        memories="buffers.v",
        ports={"output": "output_value"},
        files=FILES,
    )


def to_verilog(design: NeuronDesign) -> str:
    """The neuron as Verilog; its top module is `PRECISION_neuron`. Raises HardwareError if yosys fails."""
    headers = neuron_headers(design)
    return verilog_file(*modules_of(to_rtlil(design), headers, module_prefix(design.name)).values())


def check_place(out: Path) -> None:
    """Raise HardwareError if the folder, or what is to hold it, cannot be written."""
    try:
        nearest = next(each for each in (out, *out.absolute().parents) if each.exists())
        with tempfile.TemporaryDirectory(prefix=".fewbits-rtl-", dir=nearest):
            pass
    except OSError as error:
        raise HardwareError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from None


def say_nothing(_: str) -> None:
    """For whoever does not ask for progress."""


def _bench_files(chosen: NeuronDesign, vectors: Vectors, timing: Constraints) -> dict[str, str]:
    operands = vectors.operands(chosen)
    total, output = chosen.accumulator_bits, chosen.output_port_bits
    control = [int(first) | int(last) << 1 for first, last in zip(operands.first, operands.last, strict=True)]
    prefix = module_prefix(chosen.name)
    fields = {
        "prefix": prefix,
        "many_tops": MANY_TOPS,
        "name": chosen.name,
        "command": chosen.key.arguments,
        "multiplier": chosen.multiplier,
        "limits": f"{chosen.limits}\n" if chosen.limits else "",
        "synapses": chosen.products_per_cycle,
        "constraints": "`neuron.sdc` and `accelerator.sdc` hold",
        "lanes": f" (ports of {chosen.weight_lane_bits} and {chosen.input_lane_bits} bits a lane, see the header)"
        if chosen.settings
        else "",
        "pins": "".join(f", `{name}` ({held} here)" for name, held in chosen.settings.items()),
        "settings": "".join(f".{name}(1'd{held}), " for name, held in chosen.settings.items()),
        "weight_bits": chosen.precision.weights.bits,
        "input_bits": chosen.precision.inputs.bits,
        "weights": chosen.weight_lane_bits * chosen.synapses,
        "inputs": chosen.input_lane_bits * chosen.synapses,
        "total": total,
        "output": output,
        "chunks": len(vectors.first),
        "cycles": len(control),
        "shift_bits": chosen.shift_bits,
        "shift": vectors.shift & ((1 << chosen.shift_bits) - 1),
        "relu": int(vectors.relu),
        "bias_delay": chosen.bias_delay,
        "accumulator_delay": chosen.accumulator_delay,
        "stages": chosen.pipeline_stages,
        "clock_mhz": timing.clock_mhz,
        "clock_source": timing.clock_source,
    }
    return {
        "neuron_bench.v": NEURON_BENCH.format(**fields),
        "neuron.sdc": timing.text,
        "README.md": README.format(**fields),
        "weights.hex": hexadecimal(operands.weights, chosen.weight_lane_bits * chosen.synapses),
        "inputs.hex": hexadecimal(operands.inputs, chosen.input_lane_bits * chosen.synapses),
        "bias.hex": hexadecimal(operands.bias, total),
        "control.hex": "".join(f"{value:x}\n" for value in control),
        "total.hex": "".join(f"{value & ((1 << total) - 1):x}\n" for value in vectors.totals),
        "output.hex": "".join(f"{_extended(chosen, value):x}\n" for value in vectors.outputs),
    }


def _extended(chosen: NeuronDesign, code: int) -> int:
    """An output's code as its port shows it: the sign in the places above."""
    above = chosen.output_port_bits - chosen.output_bits
    sign = code >> (chosen.output_bits - 1) & 1
    return code & ((1 << chosen.output_bits) - 1) | sign * (((1 << above) - 1) << chosen.output_bits)
