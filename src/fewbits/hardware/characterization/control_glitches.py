"""What glitches add to the control's energy: drawn cycles of its run simulated with each gate's own delays.

The control's inputs depend on its outputs, so that its run is one step after another (`sequential_simulation`). A drawn
cycle is simulated as a neuron's (`activity.delays`): registers and ports change to their new values, all gates start
from the settled values of the cycle before. Ports, those of memory, buffers and tile, change at the clock's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.activity.delays import DelayedCounts, DelayedGates, delayed_gates, follow
from fewbits.hardware.activity.glitches import glitch_factors
from fewbits.hardware.activity.program import gates_of
from fewbits.hardware.characterization.control_run import COMPUTING, POOLING, planned_cycles, run_control
from fewbits.hardware.costing.layer_power import half_interval
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import Activity, toggle_costs
from fewbits.hardware.mapping.timing import Conditions, Timing, mean_delays_ns

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.datapath.neuron_design import NeuronDesign
    from fewbits.hardware.energy.energy_model import EnergyModel
    from fewbits.hardware.mapping.netlist import Netlist

SAMPLED_CYCLES = 256
"""Of each kind of cycle, as many as are drawn on average."""

SEGMENTS = 16
"""Parts that the drawn cycles fall into at random, whose spread tells the sample's error."""


@dataclass(frozen=True)
class ControlGlitches:
    """Glitches in one kind of the control's cycles."""

    cycles: int
    """That were drawn."""

    toggles: float
    """Toggles with glitches over settled ones, in the sample."""

    settled_pj: float
    """What settled toggles take in a cycle of the whole run, those of the clock apart."""

    glitches_pj: float
    """What glitches add to it."""

    half_interval_pj: float
    """Half of the 95 % confidence interval of `glitches_pj` over the drawn cycles."""


class GlitchSample:
    """Draws from a `SequentialSimulation`'s cycles, as its `watch`, and simulates what it draws with delays.

    gates: of the simulation's netlist. shares: of each kind's cycles, which part is drawn. seed: of the draw.
    """

    def __init__(self, gates: DelayedGates, net_count: int, shares: Sequence[float], seed: int = 0) -> None:
        self._gates, self._shares = gates, shares
        self._generator = np.random.default_rng(seed)
        self._cycles = np.zeros((len(shares), SEGMENTS), np.int64)
        self._settled = np.zeros((len(shares), SEGMENTS, net_count), np.int64)
        self._with_glitches = np.zeros_like(self._settled)

    def __call__(self, kind: int, before: NDArray[np.uint64], after: NDArray[np.uint64]) -> None:
        """Settled values of all nets in the cycle before and in this one, shape (net_count,)."""
        if self._generator.random() >= self._shares[kind]:
            return
        segment = int(self._generator.integers(SEGMENTS))
        old, new = before[None].astype(np.uint8), after[None].astype(np.uint8)
        follow(self._gates, old, new, self._with_glitches[kind, segment])
        self._settled[kind, segment] += old[0] != new[0]
        self._cycles[kind, segment] += 1

    def counts(self, kind: int) -> DelayedCounts:
        """Toggles in the drawn cycles of a kind."""
        return DelayedCounts(self._cycles[kind], self._settled[kind], self._with_glitches[kind])


def control_glitches(
    netlist: Netlist,
    timing: Timing,
    design: NeuronDesign,
    accelerator: Accelerator,
    conditions: Conditions,
    network: BitExactNetwork,
    image: Tensor,
    sampled_cycles: int = SAMPLED_CYCLES,
) -> tuple[ControlGlitches, ControlGlitches]:
    """Run a program on the control's netlist as `run_control` does: glitches while computing and while pooling.

    timing: of the netlist, with its transitions. sampled_cycles: to draw of each kind, on average.
    Raises HardwareError as `run_control` does.
    """
    loads = netlist.loads_pf(conditions.wire)
    delays_ps = np.rint(1000 * mean_delays_ns(netlist, timing, loads)).astype(np.int64)
    gates = delayed_gates(gates_of(netlist), netlist.net_count, delays_ps)
    planned = planned_cycles(design, accelerator, network)
    sample = GlitchSample(gates, netlist.net_count, [sampled_cycles / max(1, cycles) for cycles in planned])
    simulation = run_control(netlist, design, accelerator, network, image, watch=sample)
    model = energy_model(netlist, timing.slew_ns, loads)
    computing, pooling = (glitch_energy(model, simulation.activity(k), sample.counts(k)) for k in (COMPUTING, POOLING))
    return computing, pooling


def glitch_energy(model: EnergyModel, settled: Activity, sample: DelayedCounts) -> ControlGlitches:
    """From a sample's toggles to the energy of a whole run's glitches.

    As in a neuron's layers, the sample gives the glitches' energy as a part of its settled toggles', and this applies
    to the settled toggles of all cycles. settled: of the whole run.
    """
    cycles = int(sample.cycles.sum())
    more = (sample.with_glitches - sample.settled).sum(axis=0) / max(1, cycles)
    with_glitches = Activity(settled.toggles + more, settled.duty)
    costs = toggle_costs(model, with_glitches, np.zeros(model.cell_count, np.uint8), 1)[:, :1]  # the clock's apart
    found = glitch_factors(sample, costs)
    settled_pj = settled.toggles @ costs
    return ControlGlitches(
        cycles=cycles,
        toggles=float(sample.with_glitches.sum() / max(1, sample.settled.sum())),
        settled_pj=float(settled_pj.sum()),
        glitches_pj=float(settled_pj @ found.factors),
        half_interval_pj=half_interval(found.deviations @ settled_pj),
    )
