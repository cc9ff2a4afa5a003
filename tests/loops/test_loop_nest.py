"""What the model says that a mapping moves, against a walk through its loops with the real values in each memory."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from loop_walk import Nest

from fewbits.hardware import Axis, LoopAccelerator, LoopMemory
from fewbits.hardware.dataflow.loops.accesses import Accesses
from fewbits.hardware.dataflow.loops.description import RELEVANT
from fewbits.hardware.dataflow.loops.layer_loops import LOOPS, LayerLoops
from fewbits.hardware.dataflow.loops.mapper import candidates_of
from fewbits.hardware.dataflow.loops.orders import joined, orders_of
from fewbits.hardware.dataflow.loops.problem import OperandBits, Problem
from fewbits.hardware.dataflow.loops.tiles_in_time import distinct
from fewbits.hardware.dataflow.loops.unrolling import unrollings

BITS = OperandBits(8, 4, 8, 20)


@st.composite
def layers(draw: st.DrawFn) -> LayerLoops:
    sizes = tuple(draw(st.integers(1, most)) for most in (2, 5, 4, 4, 4, 3, 3))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(2))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(2))
    return LayerLoops(sizes, draw(st.integers(1, 2)), strides, dilations)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[Axis, ...]:
    loops = draw(st.permutations(LOOPS))
    first, second = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    forwarding = st.sampled_from(["multicast", "systolic", "unicast"])
    reduction = st.sampled_from(["stay", "adder-tree", "systolic"])
    return tuple(
        Axis(
            name,
            draw(st.integers(1, 4)),
            tuple(own),
            {},
            False,
            draw(forwarding),
            draw(forwarding),
            "stay" if set(own) <= RELEVANT["outputs"] else draw(reduction),
        )
        for name, own in (("across", loops[:first]), ("down", loops[first : first + second]))
    )


INSTANCES = st.sampled_from(["array", "element", "across", "down"])


@st.composite
def memories(draw: st.DrawFn) -> tuple[LoopMemory, ...]:
    found: list[LoopMemory] = []
    for operand in ("inputs", "weights", "outputs"):
        if draw(st.booleans()):  # in elements or along an axis, small
            found.append(
                LoopMemory(
                    f"near_{operand}",
                    (operand,),
                    values=draw(st.integers(3, 20)),
                    row_values=draw(st.integers(1, 3)),
                    instances=draw(INSTANCES),
                )
            )
    far = [("inputs", "weights", "outputs")] if draw(st.booleans()) else [("inputs", "outputs"), ("weights",)]
    found += [
        LoopMemory(
            f"far_{n}",
            held,
            kib=draw(st.sampled_from([0.05, 0.2, 1.0])),
            row_bits=draw(st.sampled_from([8, 24, 64])),
        )
        for n, held in enumerate(far)
    ]
    return tuple(found)


def walked(problem: Problem, accesses: Accesses, space: tuple[tuple[int, ...], ...], time: tuple[tuple[int, int], ...]):
    ends = {(problem.memories[n].name, operand): int(at[0]) for (n, operand), at in accesses.positions.items()}
    return Nest(problem.layer, problem.accelerator, problem.bits, space, time, ends).walk()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(layer=layers(), space=arrays(), held=memories(), data=st.data())
def test_accesses_are_those_of_a_walk_through_the_loops(
    layer: LayerLoops, space: tuple[Axis, ...], held: tuple[LoopMemory, ...], data: st.DataObject
):
    problem = Problem(layer, LoopAccelerator(space, held), BITS)
    unrolled = data.draw(st.sampled_from(unrollings(problem.accelerator.space, layer)))
    left = [-(-size // int(np.prod(each))) for size, each in zip(layer.sizes, zip(*unrolled, strict=True), strict=True)]
    assume(np.prod(left) <= 600)
    primes = [(n, p) for n, count in enumerate(left) for p in _primes(count)]
    time = joined(tuple(data.draw(st.permutations(primes))))
    accesses = Accesses(problem, candidates_of(problem, [(unrolled, orders_of([(time,)]))]))
    walk = walked(problem, accesses, unrolled, time)
    found = {
        "steps": int(accesses.candidates.above[0, 0]) * layer.groups,
        "loaded": {operand: int(count[0]) for operand, count in accesses.loaded.items()},
        "partial sums": int(accesses.partial_sums[0]),
        "reads": {m.name: int(accesses.reads[n, 0]) for n, m in enumerate(problem.memories)},
        "writes": {m.name: int(accesses.writes[n, 0]) for n, m in enumerate(problem.memories)},
    }
    expected = {
        "steps": walk.steps,
        "loaded": dict(walk.loaded),
        "partial sums": walk.partial_sums,
        "reads": {m.name: walk.reads[m.name] for m in problem.memories},
        "writes": {m.name: walk.writes[m.name] for m in problem.memories},
    }
    assert found == expected


def _primes(value: int) -> list[int]:
    return [p for p in (2, 3, 5) for k in range(1, 4) if value % p**k == 0]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5))
def test_places_that_outputs_see_are_counted_once(outputs: int, taps: int, stride: int, dilation: int):
    seen = {stride * a + dilation * b for a in range(outputs) for b in range(taps)}
    assert int(distinct(np.array(outputs), np.array(taps), stride, dilation)) == len(seen)
