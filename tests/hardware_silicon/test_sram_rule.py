"""The banking rule's error: each macro composed of the others."""

from __future__ import annotations

import pytest

from fewbits.errors import HardwareError
from fewbits.hardware import load_technology
from fewbits.hardware.process.memory.sram_rule import describe, leave_one_out, rule_errors
from fewbits.hardware.process.technology import MacroCost


def macro(rows: int, bits: int, area: float, ports: int = 1) -> MacroCost:
    return MacroCost(f"m{rows}x{bits}p{ports}", rows, bits, ports, area, area / 10, area / 5, 1.0, 2.0)


def test_a_macro_left_out_is_composed_of_the_others() -> None:
    small, large = macro(64, 32, 10.0), macro(64, 64, 16.0)
    left = {one.macro.name: one for one in leave_one_out([small, large])}
    assert (left[large.name].composed.columns, left[large.name].composed.macro) == (2, small)
    assert left[large.name].errors_percent["area"] == pytest.approx(25.0)  # 20 against 16
    assert left[small.name].errors_percent["area"] == pytest.approx(60.0)  # 16 against 10
    assert left[large.name].errors_percent["access time"] == 0.0


def test_errors_are_medians_of_sizes_and_extremes() -> None:
    errors = {one.quantity: one for one in rule_errors(leave_one_out([macro(64, 32, 10.0), macro(64, 64, 16.0)]))}
    assert (errors["area"].median, errors["area"].lowest) == (pytest.approx(42.5), pytest.approx(25.0))
    assert str(errors["area"]) == "area 42 % (+25 to +60 %)"


def test_a_macro_alone_with_its_ports_is_passed_over() -> None:
    assert leave_one_out([macro(64, 32, 10.0), macro(64, 32, 20.0, ports=2)]) == ()
    assert "not known" in describe([macro(64, 32, 10.0)])
    with pytest.raises(HardwareError, match="two macros"):
        rule_errors(())


def test_all_macros_of_the_shipped_table_are_left_out_in_turn() -> None:
    macros = load_technology("ihp-sg13g2").macros
    left_out = leave_one_out(macros)
    assert [one.macro for one in left_out] == list(macros)
    assert all(one.composed.macro != one.macro and one.composed.macro.ports == one.macro.ports for one in left_out)
    errors = {one.quantity: one for one in rule_errors(left_out)}
    assert errors["area"].median < 20
    assert errors["read energy"].median < 25
    assert errors["access time"].median < 5
