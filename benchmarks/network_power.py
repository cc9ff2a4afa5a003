"""Power of a study's networks from their own operands, and what glitches are in it: two tables in Markdown.

The networks are those of a finished study of LeNet on the embedded digits, such as `fewbits run default --out STUDY`,
its first seed. Times are CPU seconds of simulating and costing on one core, compilation of loops apart.

    python benchmarks/network_power.py [--study STUDY] [PRECISION ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.activity.delays import count_with_delays, delayed_gates
from fewbits.hardware.activity.glitches import sampled
from fewbits.hardware.activity.program import gates_of_model
from fewbits.hardware.activity.toggles import compile_model, count_toggles
from fewbits.hardware.costing.network_cost import Cost
from fewbits.hardware.costing.network_power import IMAGES, network_power
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.operands import layer_operands, layer_stimulus
from fewbits.hardware.datapath import design
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.power import Activity, toggle_costs
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY, LOGIC_COMPONENTS


def main() -> None:
    """A row of each table for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("precisions", nargs="*", metavar="PRECISION", default=list(STUDY_PRECISIONS))
    parser.add_argument("--study", type=Path, default=Path("fewbits-default"), help="that of make study if not given")
    arguments = parser.parse_args()
    folder = arguments.study / "networks"
    if not folder.is_dir():
        sys.exit(f"no study in {arguments.study}: run make study first, or give --study")
    images = test_images()
    energies, glitches = [], []
    base: Cost | None = None
    for precision in arguments.precisions:
        network = stored(folder, precision, images)
        if base is None:
            costed(network, images[:2])  # compiles the loops
        cost, seconds = costed(network, images)
        base = base or cost
        energies.append(energy_row(cost, base, seconds))
        glitches.append(glitch_row(network, images))
        print(energies[-1], glitches[-1], sep="\n", flush=True)
    print("\n".join(["", *energies, "", *glitches]))


def test_images() -> Tensor:
    """IMAGES test images, evenly spaced."""
    digits = data.load("digits")
    inputs = digits.inputs(digits.test)
    return inputs[np.linspace(0, len(inputs) - 1, IMAGES).round().astype(int).tolist()]


def stored(folder: Path, precision: str, images: Tensor) -> BitExactNetwork:
    """The network of a precision as the study has trained it, lowered."""
    name = "float-float32" if precision == "float32" else f"fine_tune-{precision}".replace("/", "_").replace("-", "_")
    name = name.replace("fine_tune_", "fine_tune-")
    found = sorted(folder.glob(f"lenet-digits-{name}-seed0-*.safetensors"))
    if not found:
        raise SystemExit(f"{folder} has no network of {precision}: fewbits run default --out {folder.parent}")
    model = models.build("lenet", 0)
    if precision == "float32":
        model.load_state_dict(load_file(found[0]))
    quantized = fb.quantize(model, precision)
    if precision != "float32":
        quantized.load_state_dict(load_file(found[0]))
    return fb.lower(quantized.eval(), images[:1])


def costed(network: BitExactNetwork, images: Tensor) -> tuple[Cost, float]:
    """The network's cost from its own operands, and the CPU seconds that it took."""
    path = compiled_netlist_path(DEFAULT_TECHNOLOGY, network.precision.name)
    start = time.process_time()
    cost = fb.cost(network, activity=network_power(network, images, read_compiled_netlist(path)))
    return cost, time.process_time() - start


def energy_row(cost: Cost, base: Cost, seconds: float) -> str:
    """Energy, what is saved, shares by part, off-chip energy, time."""
    parts = cost.breakdown.energy_uj
    cells = [
        cost.precision,
        f"{cost.power_mw:.0f}",
        f"{cost.energy_uj:.1f} ± {cost.energy_interval_uj:.1f}",
        f"{cost.energy_without_glitches_uj:.1f}",
        f"{100 * (1 - cost.energy_uj / base.energy_uj):.1f}",
        *(f"{100 * energy / cost.energy_uj:.1f}" for energy in parts.values()),
        "{:.0f} to {:.0f}".format(*cost.off_chip_uj),
        f"{seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def glitch_row(network: BitExactNetwork, images: Tensor) -> str:
    """Toggles over settled toggles with unit delays and with the gates' own; energy of glitches over that of settled
    toggles, by component, and of all as a part of what unit delays give; the sampled cycles of all layers together.
    """
    netlist = read_compiled_netlist(compiled_netlist_path(DEFAULT_TECHNOLOGY, network.precision.name))
    model, program = netlist.model, compile_model(netlist.model)
    gates = delayed_gates(gates_of_model(model), model.net_count, netlist.delays_ps)
    neuron = design(network.precision)
    trace, generator = network.trace(images), np.random.default_rng(0)
    settled, unit, delayed = np.zeros((3, model.net_count))
    ones, cycles = np.zeros(model.net_count), 0
    for layer in network.layers:
        operands = layer_operands(network, layer, trace.get(layer.inputs[0], images), neuron)
        own = layer_stimulus(operands, neuron, Accelerator(), model.ports, len(images), generator)
        sample = sampled(own, generator)
        with_units, with_delays = (
            count_toggles(program, sample, glitches=True),
            count_with_delays(program, gates, sample),
        )
        assert with_units.with_glitches is not None
        settled += with_units.settled.sum(axis=0)
        unit += with_units.with_glitches.sum(axis=0)
        delayed += with_delays.with_glitches.sum(axis=0)
        ones += with_units.ones
        cycles += int(with_units.cycles.sum())
    activity = Activity(delayed / cycles, ones / cycles)
    costs = toggle_costs(model, activity, netlist.components, len(LOGIC_COMPONENTS))[:, : len(LOGIC_COMPONENTS)]
    energy, from_units, from_delays = settled @ costs, (unit - settled) @ costs, (delayed - settled) @ costs
    cells = [
        network.precision.name,
        f"{unit.sum() / settled.sum():.2f}",
        f"{delayed.sum() / settled.sum():.2f}",
        *(f"{100 * part / whole:.0f}" for part, whole in zip(from_delays, energy, strict=True)),
        f"{100 * from_delays.sum() / energy.sum():.0f}",
        f"{from_delays.sum() / from_units.sum():.2f}",
        f"{cycles}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
