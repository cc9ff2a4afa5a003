"""What surrounds the neurons: the rest of the accelerator synthesized, timed, and its energy on LeNet's program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbits.hardware.characterization.control_run import COMPUTING, POOLING, run_control
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.control_sizes import each_neuron
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.energy.clock_tree import estimate_clock_tree
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import Activity, power_of
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions, Timing
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.technology import ControlCost, rounded

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork

ATTEMPTS = (("balanced", 0.5), ("balanced", 0.3), ("buffered", 0.5), ("buffered", 0.3))
"""As of the neurons; descriptors reach all lanes, so that nets of many sinks need buffers from the start."""


def control_cost(
    name: str,
    rtlil: str,
    design: NeuronDesign,
    library: Library,
    conditions: Conditions,
    target_mhz: float,
    say: Progress,
    accelerator: Accelerator | None = None,
) -> ControlCost:
    """Synthesize the control of a design on a library, run LeNet on the result.

    name: for progress. rtlil: of `rtl.control.control_rtlil` for the accelerator, the default one where none is given.
    Raises HardwareError if yosys fails, or if the result does not run in the schedule's cycles and accesses.
    """
    netlist, timing = control_netlist(name, rtlil, library, conditions, target_mhz, say)
    say(f"{name}: running LeNet on the netlist of {len(netlist.cell_names)} cells")
    activities = control_activities(netlist, design, accelerator or Accelerator())
    return control_figures(netlist, timing, activities, conditions, target_mhz, accelerator or Accelerator())


def control_netlist(
    name: str, rtlil: str, library: Library, conditions: Conditions, target_mhz: float, say: Progress
) -> tuple[Netlist, Timing]:
    """The control's netlist on a library. Raises HardwareError if yosys fails."""
    return synthesize_for_clock(name, rtlil, "control", library, conditions, target_mhz, ATTEMPTS, say)


def control_activities(netlist: Netlist, design: NeuronDesign, accelerator: Accelerator) -> tuple[Activity, Activity]:
    """How often each net toggles in LeNet's program, while computing and while pooling: the same at every corner.

    Raises HardwareError if the netlist does not run in the schedule's cycles and accesses.
    """
    network, image = reference_network(design)
    simulation = run_control(netlist, design, accelerator, network, image)
    return simulation.activity(COMPUTING), simulation.activity(POOLING)


def reference_network(design: NeuronDesign) -> tuple[BitExactNetwork, Tensor]:
    """LeNet with initial weights at a design's precision, and an embedded digit."""
    import fewbits  # loads torch: late
    from fewbits import data, models
    from fewbits.bitexact.sum_order import SumOrder

    digits = data.load("digits")
    images = digits.inputs(digits.test.images[:8])
    quantized = fewbits.quantize(models.build("lenet", seed=0), design.precision)
    fewbits.calibrate(quantized, images)
    order = SumOrder(design.synapses) if design.sums_depend_on_order else SumOrder()
    return fewbits.lower(quantized, images[:1], product_bits=design.kept_product_bits, sum_order=order), images[:1]


def control_figures(
    netlist: Netlist,
    timing: Timing,
    activities: Sequence[Activity],
    conditions: Conditions,
    target_mhz: float,
    accelerator: Accelerator,
) -> ControlCost:
    """What a table says of a control. activities: of `control_activities`."""
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    powers = [power_of(model, activity) for activity in activities]
    energies = [float(power.dynamic_pj.sum() + power.input_switching_pj.sum()) for power in powers]
    area = sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)
    meets = timing.highest_clock_mhz >= target_mhz
    return ControlCost(
        cells=len(netlist.cell_names),
        registers=int(netlist.sequential.sum()),
        area_um2=rounded(area),
        leakage_uw=rounded(float(powers[COMPUTING].leakage_uw.sum())),
        longest_path_ns=rounded(timing.longest_path_ns),
        clock_mhz=target_mhz if meets else rounded(timing.highest_clock_mhz),
        computing_pj=rounded(energies[COMPUTING]),
        pooling_pj=rounded(energies[POOLING]),
        clock_tree_pj=rounded(estimate_clock_tree(netlist, conditions.clock_slew_ns).energy_pj),
        each_neuron=each_neuron(netlist, powers[COMPUTING], powers[POOLING], accelerator.neurons),
    )
