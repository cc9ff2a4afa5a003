"""All multipliers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.multipliers.composable import COMPOSABLE
from fewbits.hardware.multipliers.exact import EXACT
from fewbits.hardware.multipliers.kinds import MultiplierKind

if TYPE_CHECKING:
    from fewbits.formats import Precision, ProductTable


_KINDS: Mapping[str, MultiplierKind] = {**EXACT, COMPOSABLE.name: COMPOSABLE}


def multiplier_kind(name: str) -> MultiplierKind:
    """A multiplier by its name. Raises HardwareError for another."""
    if name in _KINDS:
        return _KINDS[name]
    *names, last = map(repr, _KINDS)
    raise HardwareError(f"multiplier must be {', '.join(names)} or {last}, not {shown(name)}")


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
