"""What glitches would add to the control's energy and to the whole accelerator's, on LeNet: a table in Markdown.

The control of each precision is synthesized as `fewbits characterize` does, some minutes each; LeNet has its initial
weights, the accelerator's energy is that of its own operands (32 digits) on the shipped technology table.

    python benchmarks/control_glitches.py [--liberty FILE] [PRECISION ...]

Without --liberty the library is looked for beside the checkout, as the tests do; PDK_ROOT names another folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import fewbits as fb
from fewbits import data
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.characterization.control import ATTEMPTS, reference_network
from fewbits.hardware.characterization.control_glitches import ControlGlitches, control_glitches
from fewbits.hardware.characterization.control_run import planned_cycles
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.costing.chip_parts import CONTROL
from fewbits.hardware.costing.network_cost import Cost
from fewbits.hardware.costing.network_power import IMAGES, network_power
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY, load_technology

PDK = Path(os.environ.get("PDK_ROOT", Path(__file__).resolve().parents[2] / "shared" / "pdk"))
LIBERTY = PDK / "ihp-sg13g2" / "sg13g2_stdcell_typ_1p20V_25C.lib"


def main() -> None:
    """A row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("precisions", nargs="*", metavar="PRECISION", default=["fixed4", "float32"])
    parser.add_argument("--liberty", type=Path, default=LIBERTY, help=f"{LIBERTY} if not given")
    arguments = parser.parse_args()
    if not arguments.liberty.is_file():
        sys.exit(f"no library {arguments.liberty}: give --liberty FILE, or PDK_ROOT")
    library = complete(read_library(arguments.liberty)).library
    for precision in arguments.precisions:
        network, found = measured(precision, library)
        print(row(precision, network, found), flush=True)


def measured(precision: str, library: Library) -> tuple[BitExactNetwork, tuple[ControlGlitches, ControlGlitches]]:
    """LeNet at a precision, and the glitches of its run on the synthesized control."""
    neuron, accelerator = design(precision), Accelerator()
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    netlist, timing = synthesize_for_clock(
        precision, control_rtlil(neuron, accelerator), "control", library, conditions, accelerator.clock_mhz, ATTEMPTS,
        lambda _line: None,
    )  # fmt: skip
    network, image = reference_network(neuron)
    return network, control_glitches(netlist, timing, neuron, accelerator, conditions, network, image)


def costed(network: BitExactNetwork) -> Cost:
    """LeNet's cost from its own operands."""
    digits = data.load("digits")
    netlist = read_compiled_netlist(compiled_netlist_path(DEFAULT_TECHNOLOGY, network.precision.name))
    return fb.cost(network, activity=network_power(network, digits.inputs(digits.test.images[:IMAGES]), netlist))


def row(precision: str, network: BitExactNetwork, found: tuple[ControlGlitches, ControlGlitches]) -> str:
    """By kind of cycle: cycles drawn, toggles over settled ones, pJ of settled toggles and of glitches, the glitches as
    a part of the control's energy; then what all cycles' glitches add to the control's energy and to the accelerator's.
    """
    control = load_technology().datapath(precision).control
    assert control is not None
    cells = [precision]
    for kind, energy_pj in zip(found, (control.computing_pj, control.pooling_pj), strict=True):
        cells += [
            f"{kind.cycles}",
            f"{kind.toggles:.2f}",
            f"{kind.settled_pj:.1f} of {energy_pj:.0f}",
            f"{kind.glitches_pj:.1f} ± {kind.half_interval_pj:.1f}",
            f"{100 * kind.glitches_pj / energy_pj:.1f}",
        ]
    cycles = planned_cycles(design(precision), Accelerator(), network)
    added_uj = 1e-6 * sum(count * kind.glitches_pj for count, kind in zip(cycles, found, strict=True))
    energy = costed(network).breakdown.energy_uj
    cells += [f"{100 * added_uj / energy[CONTROL]:.1f}", f"{100 * added_uj / sum(energy.values()):.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
