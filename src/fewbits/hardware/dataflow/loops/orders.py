"""Orders of the loops in time: those that a search starts from, all of them, and the neighbours of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, permutations
from math import factorial, prod

import numpy as np

from fewbits.hardware.dataflow.loops.description import Loop
from fewbits.hardware.dataflow.loops.layer_loops import INDEX
from fewbits.hardware.dataflow.loops.tiles_in_time import Ints

Steps = tuple[tuple[int, int], ...]
"""Numbers of loops with how often they run, from the innermost on."""

Order = tuple[Steps, ...]
"""Stretches of steps, innermost first: free ones at even places, between them the fixed blocks of a description."""

Blocks = tuple[tuple[tuple[Loop, ...], tuple[int, ...]], ...]
"""As `Problem.blocks`: loops that are fixed, with the memories that they run directly above."""

_TOGETHER: tuple[tuple[int, ...], ...] = (
    (INDEX["B"],),
    (INDEX["K"],),
    (INDEX["C"],),
    (INDEX["OX"], INDEX["OY"]),
    (INDEX["FX"], INDEX["FY"]),
)
"""Loops that choose values of the same operands, innermost first: neighbours where a search starts."""


@dataclass(frozen=True, eq=False)
class Orders:
    """Several orders, and the same as arrays; short ones filled with steps that run once."""

    orders: tuple[Order, ...]
    loops: Ints
    """From the innermost on; shape (N, L)."""

    factors: Ints
    starts: Ints
    """Steps below each fixed block; shape (N, blocks)."""


def orders_of(orders: Iterable[Order]) -> Orders:
    """With their arrays; each order once."""
    found = tuple(dict.fromkeys(orders))
    flat = [tuple(chain.from_iterable(order)) for order in found]
    longest = max(1, *map(len, flat))
    pairs = np.array([(*steps, *(((0, 1),) * (longest - len(steps)))) for steps in flat], np.int64)
    starts = [[sum(map(len, order[:place])) for place in range(1, len(order), 2)] for order in found]
    return Orders(found, pairs[:, :, 0], pairs[:, :, 1], np.array(starts, np.int64).reshape(len(found), -1))


@lru_cache(maxsize=4096)
def whole_orders(left: tuple[int, ...], blocks: Blocks) -> Orders:
    """Orders in which no loop is split, loops of one kind side by side. left: how often each loop runs in time."""
    taken: set[int] = set()
    fixed: list[Steps] = []
    for loops, _ in blocks:
        numbers = [INDEX[loop] for loop in loops if INDEX[loop] not in taken]
        fixed.append(tuple((number, left[number]) for number in numbers if left[number] > 1))
        taken.update(numbers)
    kinds = [
        steps
        for kind in _TOGETHER
        if (steps := tuple((number, left[number]) for number in kind if number not in taken and left[number] > 1))
    ]
    found: list[Order] = []
    for order in permutations((*kinds, *range(len(fixed)))):
        places = [one for one in order if isinstance(one, int)]
        if places != sorted(places):
            continue
        stretches: list[list[tuple[int, int]]] = [[]]
        for one in order:
            if isinstance(one, int):
                stretches += [list(fixed[one]), []]
            else:
                stretches[-1] += one
        found.append(tuple(map(tuple, stretches)))
    return orders_of(found)


def outermost(orders: Orders) -> Orders:
    """The same orders with nothing in the fixed blocks: their loops run above all others, in their order."""
    return orders_of(
        (*(() if place % 2 else steps for place, steps in enumerate(order[:-1])), joined((*order[-1], *fixed)))
        for order in orders.orders
        for fixed in (tuple(chain.from_iterable(order[1::2])),)
    )


def count_of_all(left: Sequence[int]) -> int:
    """How many orders of the prime factors of all loops there are."""
    primes = [_primes(bound) for bound in left]
    return factorial(sum(map(len, primes))) // prod(factorial(one.count(prime)) for one in primes for prime in set(one))


@lru_cache(maxsize=256)
def all_orders(left: tuple[int, ...]) -> Orders:
    """Every order of the prime factors of all loops, neighbours of one loop joined; without fixed blocks."""
    items = {
        (number, prime): _primes(bound).count(prime)
        for number, bound in enumerate(left)
        for prime in sorted(set(_primes(bound)))
    }
    return orders_of((joined(steps),) for steps in _arrangements(items, ()))


def _arrangements(items: dict[tuple[int, int], int], before: Steps) -> Iterator[Steps]:
    """All orders of a multiset."""
    if not items:
        yield before
    for item, count in items.items():
        rest = {other: number for other, number in items.items() if other != item or count > 1}
        yield from _arrangements(rest | ({item: count - 1} if count > 1 else {}), (*before, item))


@lru_cache(maxsize=4096)
def neighbours(order: Order) -> Orders | None:
    """Orders in which one step, or a part of it, has moved: to any free place, out of a block only to one above it.

    None where there are none.
    """
    found: dict[Order, None] = {}
    for start, stretch in enumerate(order):
        for place, (number, factor) in enumerate(stretch):
            for part in _divisors(factor):
                rest = ((number, factor // part),) if part < factor else ()
                without = (*order[:start], (*stretch[:place], *rest, *stretch[place + 1 :]), *order[start + 1 :])
                for end in range(0 if start % 2 == 0 else start + 1, len(order), 2):
                    target = without[end]
                    for gap in range(len(target) + 1):
                        moved = joined((*target[:gap], (number, part), *target[gap:]))
                        found[(*without[:end], moved, *without[end + 1 :])] = None
    found.pop(order, None)
    return orders_of(found) if found else None


def joined(steps: Steps) -> Steps:
    """With neighbouring steps of one loop as one."""
    found: list[tuple[int, int]] = []
    for number, factor in steps:
        if found and found[-1][0] == number:
            found[-1] = (number, found[-1][1] * factor)
        else:
            found.append((number, factor))
    return tuple(found)


@lru_cache(maxsize=65536)
def _primes(value: int) -> tuple[int, ...]:
    found: list[int] = []
    divisor = 2
    while divisor * divisor <= value:
        while value % divisor == 0:
            found.append(divisor)
            value //= divisor
        divisor += 1
    return (*found, value) if value > 1 else tuple(found)


@lru_cache(maxsize=65536)
def _divisors(value: int) -> tuple[int, ...]:
    """All but 1."""
    found = [1]
    for prime in _primes(value):
        found += [divisor * prime for divisor in found]
    return tuple(sorted(set(found)))[1:]
