"""Multipliers, exact and approximate: what each computes and how its circuit does it, by name."""

from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.multipliers.registry import multiplier_kind, product_table

__all__ = ["MultiplierKind", "multiplier_kind", "product_table"]
