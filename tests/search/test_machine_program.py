"""The integer program's cost against the cost model's: conversions between neighbours and shared results among it."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import fold_batch_norm, models
from fewbits.hardware import LayerCosts, LayerFigures, PairCosts, load_technology
from fewbits.search.assignment import sweep
from fewbits.search.machine import Machine, pair_program
from fewbits.search.result import Objective
from fewbits.search.settings import Datapaths
from fewbits.search.space import Space, parsed_precisions, space_of

FORMATS = {
    "each": ("fixed8", "pow2-4/fixed8", "fixed4"),
    "one": ("fixed8", "fixed4"),
    "composable": ("fixed8", "fixed4"),
}


@cache
def machine(model: str, datapaths: Datapaths) -> Machine:
    """For a network with branches, or a chain."""
    network = fold_batch_norm(models.build(model, 0).eval()) if model.startswith("resnet") else models.build(model, 0)
    shape = models.input_shape(model)
    assert shape is not None
    space = space_of(network, parsed_precisions(FORMATS[datapaths]))
    return Machine(network, shape, space, load_technology(), None, datapaths)


@pytest.mark.parametrize("objective", ["energy", "latency"])
@pytest.mark.parametrize("datapaths", ["each", "one", "composable"])
@pytest.mark.parametrize("model", ["lenet", "resnet8"])
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_the_program_costs_what_the_machine_does(
    model: str, datapaths: Datapaths, objective: Objective, data: st.DataObject
):
    made = machine(model, datapaths)
    precisions, units = len(made.space.precisions), len(made.space.units)
    rest = data.draw(st.lists(st.integers(0, precisions - 1), min_size=units - precisions, max_size=units - precisions))
    choice = tuple(data.draw(st.permutations([*range(precisions), *rest])))  # all in use: the whole machine is built
    program = made.programs(objective)[0]
    assert program.cost(choice) == pytest.approx(made.figure(choice, objective), rel=1e-9)


def test_a_result_that_several_layers_take_is_a_group_of_the_program():
    (program,) = machine("resnet8", "each").programs("energy")
    assert program.groups


class Conversions:
    """Stands for `LayerCosts`: the costs of a machine on which conversions cost, or save, what a table says."""

    precisions = ("fixed8", "fixed4")
    clock_mhz = 250.0

    def __init__(self, space: Space, energies: list[float]) -> None:
        """A chain, its first result taken by all other layers, too; energies: drawn, as many as there are figures."""
        drawn = iter(energies)
        layers = space.layers
        takers = [frozenset(layers[1:]), *(frozenset({layer}) for layer in layers[2:]), frozenset[str]()]
        self.pairs = tuple(
            PairCosts(
                layer,
                taking,
                {
                    (own, taken): LayerFigures(next(drawn), 1, 1, 1)
                    for own in self.precisions
                    for taken in (self.precisions if taking else (None,))
                },
            )
            for layer, taking in zip(layers, takers, strict=True)
        )

    def widest(self, precisions: frozenset[str]) -> str:
        """Of some, the first."""
        return next(one for one in self.precisions if one in precisions)

    def energy_uj(self, of_layer: dict[str, str]) -> float:
        """Of an assignment, added up as `LayerCosts.pairs` says."""
        return sum(
            pair.figures[
                of_layer[pair.layer],
                self.widest(frozenset(of_layer[one] for one in pair.takers)) if pair.takers else None,
            ].energy_uj
            for pair in self.pairs
        )


@settings(max_examples=10, deadline=None)
@given(energies=st.lists(st.integers(0, 9000).map(lambda nj: nj / 1000), min_size=14, max_size=14))
def test_conversions_between_neighbours_are_terms_of_the_program(energies: list[float]):
    space = machine("lenet", "one").space
    built = Conversions(space, energies)
    program = pair_program(cast("LayerCosts", built), space, "energy", np.zeros(2))
    for choice in product(range(2), repeat=len(space.units)):
        of_layer = {unit[0]: space.names[number] for unit, number in zip(space.units, choice, strict=True)}
        assert program.cost(choice) == pytest.approx(built.energy_uj(of_layer), abs=1e-9)
    costs = {choice: program.cost(choice) for choice in product(range(2), repeat=len(space.units))}
    assert min(costs[one] for one in sweep(np.zeros((len(space.units), 2)), [program], 2)) == pytest.approx(
        min(costs.values()), abs=1e-6
    )


def test_no_single_change_of_a_proposed_assignment_is_cheaper_without_a_higher_score():
    made = machine("resnet8", "each")
    (program,) = made.programs("energy")
    space = made.space
    scores = program.nodes[: len(space.units)].max() - program.nodes[: len(space.units)]
    for found in sweep(scores, [program], budgets=5):
        total = sum(scores[unit, number] for unit, number in enumerate(found))
        for unit in range(len(space.units)):
            for number in range(len(space.precisions)):
                other = space.with_unit(found, unit, number)
                changed = sum(scores[one, each] for one, each in enumerate(other))
                cheaper = program.cost(other) < program.cost(found) - 1e-6
                assert not (cheaper and changed < total - 1e-6)
