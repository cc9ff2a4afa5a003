"""The mapper's choice against plain enumeration, and what it says of itself."""

from __future__ import annotations

from itertools import permutations, product
from math import inf, prod

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fewbits import HardwareError
from fewbits.hardware import AccessCosts, Axis, LoopAccelerator, LoopMemory, Widths
from fewbits.hardware.dataflow.loops.evaluation import evaluated
from fewbits.hardware.dataflow.loops.layer_loops import LOOPS, LayerLoops
from fewbits.hardware.dataflow.loops.mapper import Border, best_mapping, candidates_of
from fewbits.hardware.dataflow.loops.orders import joined, orders_of
from fewbits.hardware.dataflow.loops.problem import OperandBits, Problem

BITS = OperandBits(8, 8, 8, 24)
STORED = Widths(8, 8, 24)


def border(problem: Problem, objective: str, product_pj: float = 1.0, bits_per_cycle: float | None = None) -> Border:
    names = [memory.name for memory in problem.memories]
    costs = AccessCosts(product_pj, dict.fromkeys(names, 3.0), dict.fromkeys(names, 4.0), 2.5, {})
    return Border(objective, costs, STORED, bits_per_cycle=bits_per_cycle)


def plain_best(problem: Problem, chosen_by: Border) -> float:
    """The least objective over every way to unroll that is not dominated, and every order of all prime factors."""
    best = inf
    for unrolled in plain_unrollings(problem):
        left = [-(-b // prod(each)) for b, each in zip(problem.layer.bounds, zip(*unrolled, strict=True), strict=True)]
        primes = [(n, p) for n, count in enumerate(left) for p in plain_primes(count)]
        for order in set(permutations(primes)):
            one = evaluated(problem, candidates_of(problem, [(unrolled, orders_of([(joined(order),)]))]))
            bits = one.off_chip_bits(chosen_by.widths, 0, is_last=False)
            key = one.keys(chosen_by.objective, chosen_by.costs, bits, chosen_by.bits_per_cycle)[0]
            best = min(best, float(key[0]))
    return best


def plain_unrollings(problem: Problem) -> list[tuple[tuple[int, ...], ...]]:
    """Factors of free axes: the least for its number of steps, none of which could be raised."""
    taken: list[tuple[tuple[int, ...], ...]] = [()]
    for axis in problem.space:
        grown = []
        for before in taken:
            left = [-(-b // prod(one[n] for one in before)) for n, b in enumerate(problem.layer.bounds)]
            fitting = [
                one
                for one in product(*(range(1, left[n] + 1) if LOOPS[n] in axis.loops else [1] for n in range(7)))
                if prod(one) <= axis.size and all(-(-left[n] // -(-left[n] // f)) == f for n, f in enumerate(one))
            ]
            grown += [
                (*before, one)
                for one in fitting
                if not any(one != other and all(a <= b for a, b in zip(one, other, strict=True)) for other in fitting)
            ]
        taken = grown
    return taken


def plain_primes(value: int) -> list[int]:
    return [p for p in (2, 3, 5, 7) for k in range(1, 4) if value % p**k == 0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    sizes=st.tuples(st.just(1), *(st.integers(1, most) for most in (6, 6, 4, 4, 3, 3))),
    axes=st.sampled_from([("K", "C"), ("K", "OX"), ("KC", "OY"), ("OYOX", "K")]),
    kib=st.tuples(*(st.sampled_from([0.01, 0.03, 0.1, 4.0]) for _ in range(3))),
    shared=st.booleans(),
    objective=st.sampled_from(["energy", "cycles", "energy-cycles"]),
    bandwidth=st.sampled_from([None, 4.0]),
)
def test_small_layers_get_the_best_of_all_mappings(sizes, axes, kib, shared, objective, bandwidth):
    loops = {"OYOX": ("OY", "OX"), "KC": ("K", "C")}
    space = tuple(Axis(f"axis{n}", 2, loops.get(one, (one,))) for n, one in enumerate(axes))
    held = [("inputs", "weights", "outputs")] if shared else [("inputs",), ("weights",), ("outputs",)]
    memories = tuple(LoopMemory(f"m{n}", one, kib=kib[n], row_bits=16, ports=1) for n, one in enumerate(held))
    problem = Problem(LayerLoops(sizes), LoopAccelerator(space, memories), BITS)
    left = [
        -(-b // f) for b, f in zip(problem.layer.bounds, np.prod(plain_unrollings(problem)[0], axis=0), strict=True)
    ]
    assume(sum(len(plain_primes(int(count))) for count in left) <= 5)
    chosen_by = border(problem, objective, bits_per_cycle=bandwidth)
    expected = plain_best(problem, chosen_by)
    if expected == inf:
        with pytest.raises(HardwareError, match="too small for layer 'conv'"):
            best_mapping("conv", problem, chosen_by)
        return
    found = best_mapping("conv", problem, chosen_by)
    bits = found.evaluation.off_chip_bits(STORED, 0, is_last=False)
    key = found.evaluation.keys(objective, chosen_by.costs, bits, bandwidth)[0]
    assert found.is_best
    assert float(key[0]) == pytest.approx(expected, rel=1e-12)


def test_a_search_that_skips_mappings_says_so():
    layer = LayerLoops((1, 64, 64, 56, 56, 3, 3))
    small = LoopMemory("buffer", ("inputs", "weights", "outputs"), kib=8, row_bits=64)
    space = (Axis("across", 8, ("K",)), Axis("down", 8, ("C",)))
    problem = Problem(layer, LoopAccelerator(space, (small,)), BITS)
    found = best_mapping("conv", problem, border(problem, "energy"))
    assert not found.is_best
    assert found.looked_at > 100


def test_a_memory_too_small_for_one_tile_is_named_with_the_layer():
    space = (Axis("across", 8, ("K",)), Axis("down", 8, ("C",)))
    memories = (
        LoopMemory("large", ("inputs", "outputs"), kib=64, row_bits=64),
        LoopMemory("small", ("weights",), kib=0.05, row_bits=64),
    )
    problem = Problem(LayerLoops((1, 64, 64, 8, 8, 3, 3)), LoopAccelerator(space, memories), BITS)
    with pytest.raises(HardwareError, match=r"^memory 'small' is too small for layer 'conv'.*0\.05 KiB") as error:
        best_mapping("conv", problem, border(problem, "energy"))
    assert "\n" not in str(error.value)
