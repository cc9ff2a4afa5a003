"""The datapaths that a precision may have, with more or fewer registers, and the first of them that keeps a clock."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, DEFAULT_SYNAPSES, Element
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.technology import DatapathCost, Technology
from fewbits.hardware.rtl.pipelining import DEFAULT

ATTEMPTS = (("small", 1.0), ("small", 0.5), ("fast", 0.5), ("buffered", 0.5), ("buffered", 0.3))
"""(mapping, fraction of the clock period that ABC sizes for), in turn until one meets the target clock. ABC sizes
each module by itself and knows no wires: its delays come out shorter than the netlist's."""

_HOPELESS = 1.3
"""An option whose first netlist takes so many periods is left for the next: on IHP's cells at 400 MHz the best other
attempt made fixed4's path 18 % shorter, 2.68 ns of 3.26."""

_LARGE_SLACK = 0.5
"""A note suggests another clock where every longest path takes less than this part of the period."""


ELEMENT_ROWS = 16
"""Of the column that a processing element's partial sum is wide enough for: those of the default array."""


@dataclass(frozen=True)
class Neuron:
    """The design of one neuron or processing element of a precision: its RTLIL, and what the table keeps about it."""

    precision: str
    """Its name in the table, from its key."""

    rtlil: str
    accumulator_bits: int
    pipeline_stages: int
    accumulate_cycles: int
    multiplier: str
    design: NeuronDesign
    """Of a processing element: that of a neuron of one synapse."""

    element: Element = "neuron"

    @property
    def sha256(self) -> str:
        """Hash of the RTLIL."""
        return hashlib.sha256(self.rtlil.encode()).hexdigest()


def build_neuron(
    precision: str,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    stages: str = DEFAULT,
    synapses: int = DEFAULT_SYNAPSES,
    element: Element = "neuron",
) -> Neuron:
    """The RTL of a precision's neuron or processing element; its `precision` is the key's name.

    stages: as of `datapath.design`. Raises HardwareError for a processing element of floats.
    """
    from fewbits.hardware import datapath

    own = 1 if element == "processing-element" else synapses
    design = datapath.design(precision, own, multiplier=multiplier, product_bits=product_bits, stages=stages)
    if element == "processing-element":
        return _element(design)
    return Neuron(
        precision=design.name,
        rtlil=datapath.to_rtlil(design),
        accumulator_bits=design.accumulator_bits,
        pipeline_stages=design.pipeline_stages,
        accumulate_cycles=design.accumulate_cycles,
        multiplier=design.multiplier,
        design=design,
    )


def check_datapath(precision: str, multiplier: str, product_bits: int | None, synapses: int, element: Element) -> None:
    """Raise HardwareError, FormatError for a datapath that cannot be built, without building it."""
    from fewbits.hardware import datapath
    from fewbits.hardware.datapath.processing_element import element_design  # loads Amaranth: late

    made = datapath.design(precision, synapses, multiplier=multiplier, product_bits=product_bits)
    if element == "processing-element":
        element_design(made)
    else:
        made.check_circuit()


def _element(design: NeuronDesign) -> Neuron:
    from fewbits.hardware.datapath.processing_element import element_rtlil, product_stages  # loads Amaranth: late

    return Neuron(
        precision=replace(design.key, element="processing-element").name,
        rtlil=element_rtlil(design, ELEMENT_ROWS),
        accumulator_bits=design.accumulator_bits,
        pipeline_stages=product_stages(design) + 1,
        accumulate_cycles=1,
        multiplier=design.element_multiplier,
        design=design,
        element="processing-element",
    )


def neuron_options(
    precision: str,
    multiplier: str,
    product_bits: int | None,
    *,
    any_pipelining: bool,
    synapses: int = DEFAULT_SYNAPSES,
    element: Element = "neuron",
) -> tuple[Neuron, ...]:
    """The neurons to try, from the fewest registers to the most; the standard one alone of floats, or if asked for."""
    from fewbits.hardware import datapath

    made = datapath.design(precision, multiplier=multiplier, product_bits=product_bits)
    options = made.pipelinings if any_pipelining else (DEFAULT,)
    return tuple(build_neuron(precision, multiplier, product_bits, stages, synapses, element) for stages in options)


def synthesize_first(
    options: Sequence[Neuron], library: Library, conditions: Conditions, target_mhz: float, say: Progress
) -> tuple[Neuron, Netlist, Timing]:
    """The first of the options that keeps the clock, or the fastest of all. Raises HardwareError if yosys fails."""
    tried: list[tuple[float, Neuron, Netlist, Timing]] = []
    for neuron in options:
        pipelining = f", {neuron.design.pipelining.name} pipelining" if len(options) > 1 else ""
        netlist, timing = synthesize_for_clock(
            neuron.precision + pipelining, neuron.rtlil, top_module(neuron.rtlil), library, conditions, target_mhz,
            ATTEMPTS, say, give_up_beyond=_HOPELESS if neuron is not options[-1] else None,
        )  # fmt: skip
        tried.append((timing.longest_path_ns, neuron, netlist, timing))
        if timing.highest_clock_mhz >= target_mhz:
            break
    met = [one for one in tried if one[3].highest_clock_mhz >= target_mhz]
    _, neuron, netlist, timing = met[0] if met else min(tried, key=lambda one: one[0])
    return neuron, netlist, timing


def path_end(netlist: Netlist, timing: Timing) -> str:
    """The part of the neuron that the longest path ends in: a submodule's instance, or the port."""
    if timing.end in netlist.cell_names:
        return netlist.instances[netlist.cell_names.index(timing.end)] or "registers"
    return timing.end


def clock_notes(table: Technology, names: Sequence[str], *, asked: bool) -> list[str]:
    """Which datapaths and controls miss the target clock, and what they reach; or how large the slack is.

    names: of the datapaths that were asked for. asked: whether a clock was; else a large slack is worth a line.
    """
    target = table.target_clock_mhz
    notes: list[str] = []
    slowest: list[float] = []
    for name in names:
        datapath = table.datapaths[name]
        paths = [datapath.longest_path_ns, *((datapath.control.longest_path_ns,) if datapath.control else ())]
        slowest.append(max(paths))
        notes += _missed(name, datapath, target)
    if not asked and slowest and max(slowest) < _LARGE_SLACK * 1000 / target:
        notes.append(
            f"the longest path of all is {max(slowest):.3g} ns, {max(slowest) * target / 10:.2g} % of the period of "
            f"{target:g} MHz, the default clock: characterize with --clock for a higher one"
        )
    return notes


def _missed(name: str, datapath: DatapathCost, target_mhz: float) -> list[str]:
    """A line for each part that misses the clock."""
    lines: list[str] = []
    if not datapath.meets_target:
        where = f", its longest path ends in {datapath.path_end}" if datapath.path_end else ""
        lines.append(
            f"{name} reaches {datapath.clock_mhz:.4g} of {target_mhz:g} MHz, {datapath.pipelining} pipelining{where}"
        )
    if datapath.control is not None and datapath.control.clock_mhz < target_mhz:
        lines.append(f"the control of {name} reaches {datapath.control.clock_mhz:.4g} of {target_mhz:g} MHz")
    return lines
