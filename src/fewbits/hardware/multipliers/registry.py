"""All multipliers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.multipliers.approximate import approximate_multiplier, approximate_patterns
from fewbits.hardware.multipliers.composable import COMPOSABLE
from fewbits.hardware.multipliers.exact import EXACT
from fewbits.hardware.multipliers.kinds import MultiplierKind

if TYPE_CHECKING:
    from fewbits.formats import Precision, ProductTable


_KINDS: Mapping[str, MultiplierKind] = {**EXACT, COMPOSABLE.name: COMPOSABLE}


def multiplier_kind(name: str) -> MultiplierKind:
    """A multiplier by its name. Raises HardwareError for another, and for a file that is no multiplier."""
    if (found := _found(name)) is not None:
        return found
    names = ", ".join([*map(repr, _KINDS), *approximate_patterns(), "ariths:NAME"])
    raise HardwareError(f"multiplier must be {names} or a Verilog file, FILE.v, not {shown(name)}")


def is_named(name: str) -> bool:
    """Whether a text names a multiplier. Raises HardwareError for a file that is none."""
    return _found(name) is not None


def _found(name: str) -> MultiplierKind | None:
    if name in _KINDS:
        return _KINDS[name]
    if (made := approximate_multiplier(name)) is not None:
        return made
    from fewbits.hardware.multipliers.generated import generated_circuit  # they load compiled loops: late
    from fewbits.hardware.multipliers.given import given_circuit

    return generated_circuit(name) or given_circuit(name)


def product_table(multiplier: str, precision: str | Precision) -> ProductTable:
    """The products of a multiplier for all pairs of codes of a precision.

    multiplier: as `--multiplier` takes it. Raises HardwareError for an unknown multiplier and for numbers that it does
    not multiply, FormatError for a precision of more than 8 bits.
    """
    from fewbits.formats import ProductTable, parse_precision

    chosen = parse_precision(precision) if isinstance(precision, str) else precision
    kind = multiplier_kind(multiplier)
    if (refusal := kind.refusal(chosen)) is not None:
        raise HardwareError(refusal)
    return kind.table(chosen) or ProductTable.exact(chosen.weights, chosen.inputs)
