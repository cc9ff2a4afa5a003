"""A small liberty library written by hand, whose figures can be checked by eye, and netlists as yosys writes them."""

from __future__ import annotations

import json

# Delays: 10 ps + 1 ps per fF and 0.1 ps per ps of input transition, for a rise; a fall is twice as long.
# Units are unusual on purpose: ps, fF, nW, and energy in fF V^2 = fJ.
_TABLE = """
      cell_rise (delay) {{ values ("{a}, {b}", "{c}, {d}"); }}
      cell_fall (delay) {{ values ("{e}, {f}", "{g}, {h}"); }}
      rise_transition (delay) {{ values ("20, 40", "20, 40"); }}
      fall_transition (delay) {{ values ("20, 40", "20, 40"); }}
"""


def _delay_tables() -> str:
    rise = [10 + 0.1 * slew + load for slew in (0, 100) for load in (0, 20)]
    return _TABLE.format(**dict(zip("abcdefgh", [*rise, *(2 * delay for delay in rise)], strict=True)))


_COMBINATIONAL = """
  cell ({name}) {{
    area : {area}; cell_leakage_power : {leakage};
    {states}
    {inputs}
    pin (Y) {{ direction : output; function : "{function}"; max_capacitance : 20; {arcs} }}
  }}
"""

_HEADER = """/* A library to check by hand. */
library (tiny) {
  delay_model : table_lookup; time_unit : "1ps"; voltage_unit : "1V"; leakage_power_unit : "1nW";
  capacitive_load_unit (1, ff); nom_voltage : 2.0; nom_temperature : 25;
  lu_table_template (delay) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, 100"); index_2 ("0, 20");
  }
  lu_table_template (setup) {
    variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;
    index_1 ("0, 100"); index_2 ("0, 100");
  }
  power_lut_template (passive) { variable_1 : input_transition_time; index_1 ("0, 100"); }
  wire_load (small) { capacitance : 0.5; slope : 2; fanout_length (1, 2); fanout_length (3, 6); }
  default_wire_load : small;
"""

_FLIP_FLOP = """
  cell (dff) {{
    area : 6; cell_leakage_power : 40;
    ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
    pin (CK) {{ direction : input; capacitance : 2; clock : true;
      internal_power () {{ when : "D&Q | !D&!Q"; rise_power (scalar) {{ values ("3"); }}
        fall_power (scalar) {{ values ("1"); }} }}
      internal_power () {{ rise_power (scalar) {{ values ("8"); }} fall_power (scalar) {{ values ("4"); }} }}
    }}
    pin (D) {{ direction : input; capacitance : 1;
      timing () {{ related_pin : "CK"; timing_type : setup_rising;
        rise_constraint (setup) {{ values ("30, 50", "40, 60"); }}
        fall_constraint (setup) {{ values ("30, 50", "40, 60"); }} }}
    }}
    pin (Q) {{ direction : output; function : "IQ"; max_capacitance : 20;
      timing () {{ related_pin : "CK"; timing_type : rising_edge; {delays} }}
      internal_power () {{ related_pin : "CK"; rise_power (scalar) {{ values ("5"); }}
        fall_power (scalar) {{ values ("7"); }} }}
    }}
  }}
"""


def _gate(name: str, area: int, leakage: int, function: str, pins: dict[str, int], states: str = "") -> str:
    inputs = " ".join(f"pin ({pin}) {{ direction : input; capacitance : {load}; }}" for pin, load in pins.items())
    arcs = " ".join(
        f'timing () {{ related_pin : "{pin}"; timing_sense : negative_unate; {_delay_tables()} }} internal_power () '
        f'{{ related_pin : "{pin}"; rise_power (scalar) {{ values ("{k}"); }} '
        f'fall_power (scalar) {{ values ("{k}"); }} }}'
        for k, pin in enumerate(pins, start=1)
    )
    return _COMBINATIONAL.format(
        name=name, area=area, leakage=leakage, function=function, inputs=inputs, arcs=arcs, states=states
    )


def mappable_liberty() -> str:
    """The tiny library and a buffer, the fewest cells that synthesis maps to, each strong enough for any net."""
    buffer = _gate("buf", 2, 20, "A", {"A": 1}).replace("negative_unate", "positive_unate")
    return (tiny_liberty().removesuffix("}\n") + buffer + "}\n").replace(
        "max_capacitance : 20", "max_capacitance : 999"
    )


def tiny_liberty() -> str:
    """The library's text: inverter, two-input nand, flip-flop."""
    states = " ".join(
        f'leakage_power () {{ when : "{when}"; value : {value}; }}'
        for when, value in (("!A&!B", 8), ("!A&B", 12), ("A&!B", 16), ("A&B", 24))
    )
    cells = [
        _gate("inv", 1, 10, "!A", {"A": 1}),
        _gate("nand", 2, 99, "!(A&B)", {"A": 1, "B": 3}, states),
        _FLIP_FLOP.format(delays=_delay_tables()),
    ]
    return _HEADER + "".join(cells) + "}\n"


def json_netlist(cells: dict[str, tuple[str, dict[str, int | str]]], ports: dict[str, tuple[str, list[int]]]) -> str:
    """Yosys' JSON of a flat module `top`."""
    module = {
        "ports": {name: {"direction": direction, "bits": bits} for name, (direction, bits) in ports.items()},
        "cells": {
            name: {"type": kind, "connections": {pin: [net] for pin, net in pins.items()}}
            for name, (kind, pins) in cells.items()
        },
    }
    return json.dumps({"modules": {"top": module}})
