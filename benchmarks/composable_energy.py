"""What the composable neuron costs in 8-bit mode and saves in 4-bit mode, beside neurons of one precision.

Usage: python benchmarks/composable_energy.py [--images 8]
Area and energy at the assumed activity from the shipped table; energy from operands, glitches in it, from the compiled
netlists: LeNet with initial weights at each precision, on digits. A cycle's energy over its products; the clock tree's
estimate is in that from operands alone.
"""

from __future__ import annotations

import argparse

import numpy as np

import fewbits
from fewbits import data, models
from fewbits.hardware import load_technology
from fewbits.hardware.costing.network_power import network_power
from fewbits.hardware.datapath import design
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist

NEURONS = (("fixed8", "booth"), ("fixed8", "composable"), ("fixed4", "booth"), ("fixed4", "composable"))


def operand_energy_pj(precision: str, multiplier: str, image_count: int) -> float:
    """Of a cycle: the mean over LeNet's layers."""
    digits = data.load("digits")
    images = digits.inputs(digits.test.images[:image_count])
    quantized = fewbits.quantize(models.build("lenet", seed=0), precision)
    fewbits.calibrate(quantized, images)
    network = fewbits.lower(quantized, images[:1])
    name = design(precision, multiplier=multiplier).name
    netlist = read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", name))
    power = network_power(network, images, netlist, multiplier=multiplier)
    return float(np.mean([sum(layer.energy_pj.values()) for layer in power.layers.values()]))


def main() -> None:
    """Print a row of each neuron."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8, help="images whose operands the neurons compute (default: 8)")
    images = parser.parse_args().images
    table = load_technology()
    print("| neuron | area [um2] | products a cycle | area a product [um2] | pJ a product, assumed activity | "
          "from LeNet's operands |")  # fmt: skip
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for precision, multiplier in NEURONS:
        made = design(precision, multiplier=multiplier)
        parts = table.datapath(made.key).components.values()
        area, energy = sum(part.area_um2 for part in parts), sum(part.energy_pj for part in parts)
        measured = operand_energy_pj(precision, multiplier, images)
        count = made.products_per_cycle
        print(f"| {made.name} | {area:.0f} | {count} | {area / count:.0f} | {energy / count:.3f} | "
              f"{measured / count:.3f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
