"""The named approximations as multipliers: the formulas of `formats/approximation_kinds.py` with a circuit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.formats.approximation_kinds import APPROXIMATIONS, ApproximationKind, PartialProducts
from fewbits.formats.approximations import approximation, parse_approximation
from fewbits.hardware.multipliers.kinds import MultiplierKind, refused_operands

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.formats import Precision, ProductTable


@dataclass(frozen=True)
class ApproximateMultiplier(MultiplierKind):
    """A named approximation with its parameters."""

    name: str
    words: str
    kind: ApproximationKind
    parameters: tuple[int, ...]

    is_exact = False
    is_one_row = True

    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """As its kind's circuit makes them."""
        return CIRCUITS[self.kind.name](self, m, multiplier, multiplicand, width, registers)

    def table(self, precision: Precision) -> ProductTable:
        """By its formula."""
        return approximation(self.name, precision.weights, precision.inputs)

    def refusal(self, precision: Precision) -> str | None:
        """Other formats than integers of at most 8 bits, or parameters that do not fit their widths."""
        if (refused := refused_operands(self.name, precision)) is not None:
            return refused
        misfit = self.kind.misfit(precision.weights.bits, precision.inputs.bits, *self.parameters)
        return None if misfit is None else f"multiplier {self.name}, at {precision.name}, {misfit}"


_Circuit = Callable[["ApproximateMultiplier", "Module", "Value", "Value", int, int], tuple["Value", "Value"]]


def _partial_products(
    kind: ApproximateMultiplier, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int
) -> tuple[Value, Value]:
    from fewbits.hardware.multipliers.circuits.approximate import partial_products  # loads Amaranth: late

    assert isinstance(kind.kind, PartialProducts)
    kept = kind.kind.kept(len(multiplier), len(multiplicand), *kind.parameters)
    return partial_products(m, multiplier, multiplicand, width, registers, kept)


def _mitchell(
    kind: ApproximateMultiplier, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int
) -> tuple[Value, Value]:
    from fewbits.hardware.multipliers.circuits.approximate import mitchell

    return mitchell(m, multiplier, multiplicand, width, registers)


CIRCUITS: Mapping[str, _Circuit] = {
    "truncated": _partial_products,
    "broken-array": _partial_products,
    "perforated": _partial_products,
    "mitchell": _mitchell,
}
"""By the approximation's kind."""


def approximate_multiplier(name: str) -> ApproximateMultiplier | None:
    """The multiplier of an approximation's name, None for a name of no kind.

    Raises FormatError for a kind with other numbers than it has.
    """
    kinds = [kind for kind in CIRCUITS if name == kind or name.startswith(f"{kind}-")]
    if not kinds:
        return None
    kind, parameters = parse_approximation(name)
    given = list(parameters)
    for parameter in reversed(kind.parameters):
        if given and given[-1] == parameter.default:
            given.pop()
        else:
            break
    plain = "-".join([kind.name, *map(str, given)])  # a default that was given is left out: one name a circuit
    return ApproximateMultiplier(plain, f"{plain}: {kind.words_for(*parameters)}", kind, parameters)


def approximate_patterns() -> tuple[str, ...]:
    """How their names look."""
    return tuple(APPROXIMATIONS[name].pattern for name in CIRCUITS)
