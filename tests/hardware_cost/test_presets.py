"""Every preset of loops, on whole networks: no figure is nonsense.

LeNet, ALEX, ResNet-20 and the layers of ResNet-18; what holds for any machine is asked of each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import ceil

import pytest
from mapped_layers import ACCUMULATOR_BITS, mapped, preset
from test_zigzag import LAYERS

from fewbits import parse_precision
from fewbits.hardware.dataflow.accelerator_files import PRESETS
from fewbits.hardware.dataflow.loops.dataflow import Loops
from fewbits.hardware.dataflow.loops.description import LoopAccelerator
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule, Widths
from fewbits.hardware.dataflow.registry import accelerator_from, accelerator_named
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.neuron_design import design as designed
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import LayerShape, Workload

MACHINES = tuple(name for name in PRESETS if isinstance(accelerator_named(name), LoopAccelerator))

NETWORKS = ("lenet", "alex", "resnet20", "resnet18")

DATAFLOW = Loops()

EACH = pytest.mark.parametrize("machine", MACHINES)

ON_EACH = pytest.mark.parametrize(
    "network", [*NETWORKS[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS[2:])]
)


def neuron() -> NeuronDesign:
    return designed(parse_precision("fixed8"))


@lru_cache
def workload(network: str) -> Workload:
    return Workload(tuple(layer.shape for layer in LAYERS)) if network == "resnet18" else workload_of(network)


@lru_cache
def schedule(network: str, machine: str) -> Schedule:
    return DATAFLOW.schedule(workload(network), preset(machine), neuron())


def layers(network: str, machine: str) -> list[tuple[LayerShape, LayerSchedule]]:
    """Those with weights."""
    pairs = zip(workload(network).layers, schedule(network, machine).layers, strict=True)
    return [pair for pair in pairs if pair[0].has_weights]


def test_eight_published_machines_have_a_preset():
    assert {
        "systolic-os",
        "systolic-is",
        "fpga15",
        "convolver-array",
        "recognition-processor",
        "eyeriss",
        "nvdla-like",
        "tpu-like",
    } <= set(MACHINES)


@EACH
def test_a_preset_names_its_source(machine: str):
    assert preset(machine).source


@pytest.mark.parametrize("machine", ["fpga15", "convolver-array", "recognition-processor", "eyeriss", "nvdla-like"])
def test_what_is_not_confirmed_is_said(machine: str):
    notes = DATAFLOW.size_notes("fixed8", None, preset(machine))  # type: ignore[arg-type]
    assert any(note.startswith("unverified") for note in notes)


@EACH
def test_a_preset_is_made_again_from_its_definition(machine: str):
    assert accelerator_from(preset(machine).definition()) == preset(machine)


@ON_EACH
@EACH
def test_no_machine_does_more_products_than_it_has_multipliers(network: str, machine: str):
    assert all(0 < planned.utilization <= 1 for _, planned in layers(network, machine))


@ON_EACH
@EACH
def test_no_layer_takes_fewer_cycles_than_its_products_need(network: str, machine: str):
    elements = preset(machine).elements
    assert all(planned.busy_cycles >= ceil(shape.products / elements) for shape, planned in layers(network, machine))


@ON_EACH
@EACH
def test_no_cycle_is_negative(network: str, machine: str):
    counts = ("busy_cycles", "stall_cycles", "setup_cycles", "fill_cycles", "transfer_stall_cycles")
    assert all(getattr(planned, count) >= 0 for planned in schedule(network, machine).layers for count in counts)


@ON_EACH
@EACH
def test_no_access_is_negative(network: str, machine: str):
    plan = schedule(network, machine)
    assert all(min(one.reads, one.writes) >= 0 for planned in plan.layers for one in planned.accesses.values())


@ON_EACH
@EACH
def test_every_weight_crosses_the_border_at_least_once(network: str, machine: str):
    assert all(planned.weights_loaded >= shape.weights for shape, planned in layers(network, machine))


@ON_EACH
@EACH
def test_every_input_that_a_kernel_sees_crosses_the_border(network: str, machine: str):
    # A stride beyond the kernel leaves some out; padding is counted, so that there may be more.
    for shape, planned in layers(network, machine):
        seen = [
            min(size, outputs * min(stride, kernel)) / size
            for size, outputs, stride, kernel in zip(
                shape.input_size, shape.output_size, shape.stride, shape.kernel, strict=True
            )
        ]
        assert planned.inputs_loaded >= shape.input_values * seen[0] * seen[1]


def twice_as_large(machine: LoopAccelerator) -> LoopAccelerator:
    """Twice of every memory that is more than a register."""
    memories = (
        one
        if one.values == 1
        else replace(one, kib=None if one.kib is None else 2 * one.kib, values=one.values and 2 * one.values)
        for one in machine.memories
    )
    return replace(machine, memories=tuple(memories))


def energy(machine: LoopAccelerator, layer: LayerShape) -> float:
    """Of the mapping that is best by `mapped_layers.mapped`'s costs, at these costs."""
    found = mapped(machine, layer).evaluation
    bits = int(found.off_chip_bits(Widths(8, 8, ACCUMULATOR_BITS), 0, is_last=False)[0])
    accesses = int(found.accesses.reads.sum() + found.accesses.writes.sum())
    return int(found.steps[0]) * machine.elements + accesses + 10 * bits


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layer.shape for layer in LAYERS[::5]], ids=lambda layer: layer.name)
@EACH
def test_larger_memories_never_cost_more(machine: str, layer: LayerShape):
    small = replace(preset(machine), objective="energy")
    assert energy(twice_as_large(small), layer) <= energy(small, layer)
