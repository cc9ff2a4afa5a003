"""A library as liberty text in one plain spelling: what yosys and ABC are given, whatever files it came from.

They then see the very cells, functions and delays that timing and power reckon with here: of several files, packed or
not, in whatever syntax. Units are ns, pF and nW; each table carries its own axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.process.library.boolean import explicit
from fewbits.hardware.process.library.liberty import Cell, FlipFlop, Library, Pin, Table, TimingArc, WireModels

_HEADER = """library (cells) {{
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  leakage_power_unit : "1nW"; capacitive_load_unit (1, pf); pulling_resistance_unit : "1kohm";
  nom_voltage : {voltage}; nom_temperature : {temperature};
"""

_TEMPLATE = """  lu_table_template (delay_{rows}x{columns}) {{
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("{first}"); index_2 ("{second}");
  }}
"""

_EDGES = (("cell_rise", "cell_fall"), ("rise_transition", "fall_transition"))
_CLOCK_EDGES = ("rising_edge", "falling_edge")


def liberty_text(library: Library, cells: Iterable[Cell]) -> str:
    """Some of a library's cells as a liberty file: area, leakage, pins, functions, flip-flops, delays; no energies."""
    header = _HEADER.format(voltage=_number(library.voltage_v), temperature=_number(library.temperature_c))
    chosen = list(cells)
    tables = (_wide(table) for cell in chosen for arc in cell.arcs for table in arc.tables.values())
    templates = [
        _TEMPLATE.format(
            rows=rows,
            columns=columns,
            first=_numbers(np.arange(float(rows))),
            second=_numbers(np.arange(float(columns))),
        )
        for rows, columns in sorted({table.values.shape for table in tables})
    ]
    return "\n".join(
        [
            header,
            *templates,
            *_wire_models(library.wire_models),
            *(line for cell in chosen for line in _cell(cell)),
            "}",
            "",
        ]
    )


def _wire_models(models: WireModels) -> Iterator[str]:
    """The file's own models and its choice among them by area, which ABC follows."""
    for group in models.groups:
        yield f'  {group.name} ("{", ".join(group.arguments)}") {{'
        yield from (f"    {name} : {value};" for name, value in group.attributes.items())
        yield from (f"    {name} ({', '.join(values)});" for name, several in group.lists.items() for values in several)
        yield "  }"
    yield from (f'  {name} : "{value}";' for name, value in models.defaults.items())


def _cell(cell: Cell) -> Iterator[str]:
    yield f'  cell ("{cell.name}") {{'
    yield f"    area : {_number(cell.area_um2)};"
    if cell.leakage_uw is not None:
        yield f"    cell_leakage_power : {_number(cell.leakage_uw * 1000)};"
    if cell.flip_flop is not None:
        yield from _flip_flop(cell.flip_flop)
    for pin in cell.pins.values():
        if pin.direction in ("input", "output"):
            yield from _pin(cell, pin)
    yield "  }"


def _flip_flop(ff: FlipFlop) -> Iterator[str]:
    yield f'    ff ("{ff.state or "IQ"}", "{ff.inverted_state or "IQN"}") {{'
    yield f'      clocked_on : "{ff.clocked_on}"; next_state : "{ff.next_state}";'
    for name, pin in (("clear", ff.clear), ("preset", ff.preset)):
        if pin:
            yield f'      {name} : "{pin}";'
    if ff.clear and ff.preset:
        yield "      clear_preset_var1 : L; clear_preset_var2 : L;"
    yield "    }"


def _pin(cell: Cell, pin: Pin) -> Iterator[str]:
    yield f'    pin ("{pin.name}") {{'
    yield f"      direction : {pin.direction};"
    if pin.direction == "input":
        yield f"      capacitance : {_number(pin.capacitance_pf)};"
        yield f"      rise_capacitance : {_number(pin.rise_capacitance_pf)};"
        yield f"      fall_capacitance : {_number(pin.fall_capacitance_pf)};"
        if cell.flip_flop is not None and cell.flip_flop.clocked_on == pin.name:
            yield "      clock : true;"
    else:
        if pin.function:
            yield f'      function : "{explicit(pin.function)}";'
        if np.isfinite(pin.max_load_pf):
            yield f"      max_capacitance : {_number(pin.max_load_pf)};"
        for arc in cell.arcs:
            if arc.pin == pin.name and arc.kind in ("combinational", *_CLOCK_EDGES):
                yield from _arc(arc)
    yield "    }"


def _arc(arc: TimingArc) -> Iterator[str]:
    """One `timing` group; an edge without tables gets the other's, since ABC takes whole groups alone."""
    tables = arc.tables
    for rise, fall in _EDGES:
        if rise not in tables and fall not in tables:
            return
        tables = {rise: tables.get(fall, Table(*_EMPTY)), fall: tables.get(rise, Table(*_EMPTY))} | tables
    yield "      timing () {"
    yield f'        related_pin : "{arc.related_pin}"; timing_sense : {arc.sense}; timing_type : {arc.kind};'
    for name in ("cell_rise", "rise_transition", "cell_fall", "fall_transition"):
        table = _wide(tables[name])
        yield f"        {name} (delay_{len(table.slews)}x{len(table.columns)}) {{"
        yield f'          index_1 ("{_numbers(table.slews)}"); index_2 ("{_numbers(table.columns)}");'
        yield f"          values ({', '.join(_quoted(row) for row in table.values)});"
        yield "        }"
    yield "      }"


def _wide(table: Table) -> Table:
    """The table with two points at least on each axis: ABC reads beyond a single one."""
    slews, columns, values = table.slews, table.columns, table.values
    if len(slews) == 1:
        slews, values = np.append(slews, slews[0] + 1.0), np.repeat(values, 2, axis=0)
    if len(columns) == 1:
        columns, values = np.append(columns, columns[0] + 1.0), np.repeat(values, 2, axis=1)
    return Table(slews, columns, values)


_EMPTY = (np.zeros(1), np.zeros(1), np.zeros((1, 1)))


def _quoted(row: NDArray[np.float64]) -> str:
    return f'"{_numbers(row)}"'


def _numbers(values: NDArray[np.float64]) -> str:
    return ", ".join(map(_number, values.tolist()))


def _number(value: float) -> str:
    return repr(float(value))
