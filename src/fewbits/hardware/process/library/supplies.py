"""Power and leakage groups given once per supply pin (`related_pg_pin`): each is a part, and the parts are added.

A cell draws from each of its supplies at once, so that groups of different supplies for the same event or state are
summed, where two groups of one supply are alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from fewbits.hardware.process.library.boolean import MAXIMUM_VARIABLES, truth_table, variables
from fewbits.hardware.process.library.liberty import InternalPower, Table

State = tuple[tuple[str, ...], bytes]


def summed_powers(powers: Sequence[tuple[str, InternalPower]]) -> tuple[InternalPower, ...]:
    """Groups with the names of their supplies ("" for none), added over the supplies of each pin and related pin."""
    arcs: dict[tuple[str, str | None], dict[str, list[InternalPower]]] = {}
    for supply, power in powers:
        arcs.setdefault((power.pin, power.related_pin), {}).setdefault(supply, []).append(power)
    return tuple(power for supplies in arcs.values() for power in _of_one_arc(list(supplies.values())))


def _of_one_arc(supplies: list[list[InternalPower]]) -> list[InternalPower]:
    total = supplies[0]
    for other in supplies[1:]:
        keys = [[state_of(power.when) for power in part] for part in (total, other)]
        if len(keys[0]) == len(set(keys[0])) and set(keys[0]) == set(keys[1]) and len(keys[0]) == len(keys[1]):
            matching = dict(zip(keys[1], other, strict=True))
            total = [_sum(power, matching[key], power.when) for key, power in zip(keys[0], total, strict=True)]
        else:
            pairs = product(_everywhere(total), _everywhere(other))
            sums = [_sum(one, two, _both(one.when, two.when)) for one, two in pairs]
            total = [power for power in sums if _can_be(power.when) and (power.rise or power.fall)]
    return total


def _everywhere(powers: list[InternalPower]) -> list[InternalPower]:
    """The same groups, together holding for every state: one without `when` is for the states that the others leave."""
    stated = [f"({power.when})" for power in powers if power.when]
    if not stated:
        return powers
    left = f"!({'|'.join(stated)})"
    rest = [replace(power, when=left) for power in powers if not power.when]
    none = replace(powers[0], when=left, rise=None, fall=None)
    return [power for power in powers if power.when] + (rest or [none])


def _both(one: str | None, two: str | None) -> str | None:
    return f"({one})&({two})" if one and two else one or two


def _can_be(when: str | None) -> bool:
    names = variables(when or "")
    return not when or len(names) > MAXIMUM_VARIABLES or bool(truth_table(when, names).any())


def _sum(one: InternalPower, two: InternalPower, when: str | None) -> InternalPower:
    return replace(one, when=when, rise=_plus(one.rise, two.rise), fall=_plus(one.fall, two.fall))


def _plus(one: Table | None, two: Table | None) -> Table | None:
    return one.plus(two) if one and two else one or two


def summed_leakage(
    groups: Sequence[tuple[str, str | None, float]],
) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """(supply, when, value) of each group: the total outside of all states, None where none is given, and in each.

    A supply that says nothing for a state adds there what it says for any; of its groups for one state the last counts.
    """
    supplies: dict[str, dict[State | None, float]] = {}
    spelled: dict[State, str] = {}
    for supply, when, value in groups:
        key = state_of(when)
        supplies.setdefault(supply, {})[key] = value
        if key is not None and when:
            spelled.setdefault(key, when)
    anywhere = [values[None] for values in supplies.values() if None in values]
    states = tuple(
        (when, sum(values.get(key, values.get(None, 0.0)) for values in supplies.values()))
        for key, when in spelled.items()
    )
    return (sum(anywhere) if anywhere else None), states


def state_of(when: str | None) -> State | None:
    """What an expression means, however it is spelled; None for no expression.

    Raises HardwareError for what is no expression.
    """
    if not when:
        return None
    names = tuple(sorted(variables(when)))
    if len(names) > MAXIMUM_VARIABLES:
        return (when,), b""
    return names, truth_table(when, names).tobytes()
