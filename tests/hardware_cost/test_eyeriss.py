"""Eyeriss' chip as its description has it, held against what was measured on it.

Measured: AlexNet's convolutions, batches of 4 at 200 MHz, Chen et al., JSSC 52(1), 2017, Table V, as nn_dataflow has
them in its test of that paper (BSD-3). That test asks for the same windows: a model without start-up, gated zeros or
compression must come out below what was measured, latency by a fifth at most, power by two fifths. Power is that of the
chip alone, at the paper's energies (65 nm, of 16 bits): product 2 pJ, scratch pad 1, between elements 4, global buffer
15, a cycle 150.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from mapped_layers import convolution, preset

from fewbits.hardware.dataflow.loops.evaluation import Evaluation
from fewbits.hardware.dataflow.loops.layer_loops import loops_of
from fewbits.hardware.dataflow.loops.mapper import Border, best_mapping
from fewbits.hardware.dataflow.loops.problem import OperandBits, Problem
from fewbits.hardware.dataflow.loops.stated_energy import stated_costs, stated_energy
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.workload.workload import LayerShape

BATCH = 4

WIDTHS = Widths(16, 16, 16)


@dataclass(frozen=True)
class Measured:
    """On the chip."""

    layer: LayerShape
    milliseconds: float
    milliwatts: float
    elements: float
    """At work on average: 154 at a time in conv1, where the last of four passes over 55 rows leaves some idle."""


MEASURED = (
    Measured(convolution("conv1", 96, 3, 55, 11, 4), 16.5, 332, 151.25),
    Measured(convolution("conv2", 256, 96, 27, 5, groups=2), 39.2, 288, 135),
    Measured(convolution("conv3", 384, 256, 13, 3), 21.8, 266, 156),
    Measured(convolution("conv4", 384, 384, 13, 3, groups=2), 16.0, 235, 156),
    Measured(convolution("conv5", 256, 384, 13, 3, groups=2), 10.0, 236, 156),
)

EACH = pytest.mark.parametrize("measured", MEASURED, ids=lambda one: one.layer.name)


def evaluated(layer: LayerShape) -> Evaluation:
    """A batch of the layer, mapped by the paper's energies."""
    machine, bits = preset("eyeriss"), OperandBits(16, 16, 16, 16)
    problem = Problem(loops_of(layer, machine.space, images=BATCH), machine, bits)
    border = Border(machine.objective, stated_costs(machine, bits), WIDTHS)
    return best_mapping(layer.name, problem, border).evaluation


def milliseconds(evaluation: Evaluation) -> float:
    return int(evaluation.cycles[0]) / (preset("eyeriss").clock_mhz * 1000)


@EACH
def test_as_many_elements_work_as_on_the_chip(measured: Measured):
    evaluation = evaluated(measured.layer)
    assert measured.layer.products * BATCH / int(evaluation.steps[0]) == pytest.approx(measured.elements)


@EACH
def test_latency_is_within_a_fifth_below_the_measured_one(measured: Measured):
    assert 0.8 < milliseconds(evaluated(measured.layer)) / measured.milliseconds < 1.0


@EACH
def test_power_is_within_two_fifths_below_the_measured_one(measured: Measured):
    evaluation = evaluated(measured.layer)
    energy = stated_energy(evaluation, WIDTHS).on_chip
    assert 0.6 < energy * 1e-9 / (milliseconds(evaluation) * 1e-3) / measured.milliwatts < 1.0
