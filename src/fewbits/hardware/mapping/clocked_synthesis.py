"""Synthesis for a clock: mappings tried in turn until one meets it."""

from __future__ import annotations

from collections.abc import Sequence

from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress, synthesize
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze, launch_overhead_ns
from fewbits.hardware.process.library.liberty import Library


def synthesize_for_clock(
    name: str,
    rtlil: str,
    top: str,
    library: Library,
    conditions: Conditions,
    target_mhz: float,
    attempts: Sequence[tuple[str, float]],
    say: Progress,
    give_up_beyond: float | None = None,
) -> tuple[Netlist, Timing]:
    """The first netlist that meets the clock without an overloaded net, or the best of all.

    name: for progress. attempts: mapping (`synthesis.MAPPINGS`) and the fraction of the period that ABC sizes for.
    give_up_beyond: periods that the first netlist may take for the others to be tried; None tries them anyway.
    Raises HardwareError as `synthesize` does.
    """
    usable_ns = 1000.0 / target_mhz - launch_overhead_ns(library, conditions)
    tried: list[tuple[bool, float, Netlist, Timing]] = []
    for mapping, fraction in attempts:
        say(f"{name}: synthesis {mapping}, {usable_ns * fraction:.2f} ns between registers")
        netlist = synthesize(
            rtlil, library, delay_target_ns=usable_ns * fraction, top=top, mapping=mapping, progress=say
        ).netlist
        timing = analyze(netlist, conditions)
        overloaded = netlist.overloaded(timing.load_pf)
        say(
            f"{name}: longest path {timing.longest_path_ns:.3f} ns, ends at {timing.end}; "
            f"{overloaded} nets beyond their driver's max_capacitance"
        )
        tried.append((overloaded > 0, timing.longest_path_ns, netlist, timing))
        if timing.highest_clock_mhz >= target_mhz and not overloaded:
            break
        if give_up_beyond is not None and timing.longest_path_ns > give_up_beyond * 1000.0 / target_mhz:
            break
    _, _, netlist, timing = min(tried, key=lambda attempt: attempt[:2])
    return netlist, timing
