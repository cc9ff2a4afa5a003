"""What real libraries have beside plain cells: each is read, set aside with a note, or refused in one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, datapath_cost
from fewbits.hardware.characterization.neuron_options import build_neuron, synthesize_first
from fewbits.hardware.characterization.technology_table import characterize
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.check import CompleteLibrary, complete
from fewbits.hardware.process.library.liberty import Cell
from fewbits.hardware.process.library.liberty_reader import read_libraries, read_library
from fewbits.hardware.process.library.liberty_syntax import parse_groups
from fewbits.hardware.process.library.passed_over import HARMLESS, READ
from fewbits.hardware.process.technology import DatapathCost

CASES = Path(__file__).parents[3] / "shared" / "cases" / "liberty"
"""`../shared` beside the checkout."""

NO_WIRES = "no wire-load model: nets bear the load of their pins alone"
PLAIN = mappable_liberty()


def usable(folder: Path, text: str) -> CompleteLibrary:
    path = folder / "unusual.lib"
    path.write_text(text)
    return complete(read_library(path))


def with_text(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)


def with_cell(name: str, like: str, *changes: tuple[str, str]) -> str:
    """The plain library and one more cell, a changed copy of one that it has."""
    start = PLAIN.index(f"  cell ({like})")
    end = PLAIN.find("  cell (", start + 1)
    cell = PLAIN[start : end if end > 0 else PLAIN.rindex("}")].replace(f"({like})", f"({name})")
    for old, new in changes:
        assert old in cell
        cell = cell.replace(old, new)
    return PLAIN.rstrip().removesuffix("}") + cell + "}\n"


def test_a_plain_library_lacks_nothing(tmp_path: Path) -> None:
    completed = usable(tmp_path, PLAIN)
    assert completed.notes == ()
    assert completed.cells == "4 of 4 mapped to"


# Cells beside the plain ones


@pytest.mark.parametrize(
    ("name", "like", "changes", "note"),
    [
        ("dffe", "dff", [('next_state : "D"', 'next_state : "(D&E) | (IQ&!E)"')], "flip-flop with enable or several"),
        ("dff2", "dff", [("ff (IQ, IQN)", "ff_bank (IQ, IQN, 2)")], "multi-bit flip-flop"),
        ("dffx", "dff", [('clocked_on : "CK"', 'clocked_on : "CK & G"')], "clocked by other than one pin"),
        ("dffr", "dff", [('next_state : "D"', 'next_state : "D"; clear : "!R & S"')], "cleared or set by other than"),
        ("dffg", "dff", [('function : "IQ"', 'function : "IQ & D"')], "an output other than its state"),
        ("odd", "nand", [('function : "!(A&B)"', 'function : "!(A&"')], "cannot be read"),
        ("odd", "nand", [('function : "!(A&B)"', 'function : "!(A&Z)"')], "a function names 'Z'"),
        ("odd", "nand", [('function : "!(A&B)"', 'function : "!A"')], "an input that decides nothing"),
        ("odd", "nand", [('related_pin : "B"', 'related_pin : "C"')], "no delay tables from some pins"),
        ("odd", "nand", [("pin (A)", "bus (A)")], "bus pins"),
        ("odd", "nand", [("area : 2;", "")], "no area"),
        ("odd", "nand", [("area : 2;", "area : -2;")], "cannot be read"),
        ("odd", "nand", [("(delay) { values", '(delay) { index_3 ("1, 2"); values')], "3 dimensions"),
    ],
)
def test_an_unusual_cell_is_set_aside_with_a_note(
    tmp_path: Path, name: str, like: str, changes: list[tuple[str, str]], note: str
) -> None:
    completed = usable(tmp_path, with_cell(name, like, *changes))
    assert [each for each in completed.notes if note in each and f"({name})" in each and each.endswith("not used")]
    assert set(completed.library.cells) == {"inv", "buf", "nand", "dff"}


@pytest.mark.parametrize(
    ("like", "changes", "kind"),
    [
        ("nand", [("area : 2;", "area : 2; dont_use : TRUE;")], "marked dont_use"),
        ("nand", [("area : 2;", "area : 2; is_isolation_cell : true;")], "isolation cell"),
        ("nand", [("area : 2;", "area : 2; clock_gating_integrated_cell : latch_posedge;")], "clock gate"),
        ("nand", [("pin (Y) {", 'pin (Y) { three_state : "!A";')], "three-state output"),
        ("nand", [("pin (A) { direction : input", "pin (A) { direction : inout")], "two-way pin"),
        ("nand", [("area : 2;", "area : 2; pad_cell : true;")], "pad"),
        ("nand", [('function : "!(A&B)";', "")], "output without function"),
        ("dff", [("ff (IQ, IQN)", "latch (IQ, IQN)")], "latch"),
        ("dff", [("area : 6;", "area : 6; test_cell () { }")], "scan flip-flop"),
        ("dff", [('clocked_on : "CK"', 'clocked_on : "!CK"')], "flip-flop of the falling edge"),
    ],
)
def test_kinds_that_mapping_has_no_use_for_are_counted(
    tmp_path: Path, like: str, changes: list[tuple[str, str]], kind: str
) -> None:
    completed = usable(tmp_path, with_cell("other", like, *changes))
    assert completed.notes == ()
    assert completed.cells == f"4 of 5 mapped to; not: 1 {kind}"


def test_a_clock_gate_is_no_buffer_for_a_false_attribute(tmp_path: Path) -> None:
    text = with_cell("more", "nand", ("area : 2;", "area : 2; is_isolation_cell : false; dont_use : false;"))
    assert "more" in usable(tmp_path, text).library.cells


def test_a_negative_leakage_is_taken_as_nothing_and_noted(tmp_path: Path) -> None:
    completed = usable(tmp_path, with_text("cell_leakage_power : 10;", "cell_leakage_power : -1e-3;"))
    assert completed.notes == ("negative leakage taken as 0 in 1 cells (inv)",)
    assert completed.library.cells["inv"].leakage_uw == 0


def test_leakage_without_a_unit_is_noted(tmp_path: Path) -> None:
    notes = usable(tmp_path, with_text('leakage_power_unit : "1nW";', "")).notes
    assert notes[0].startswith("leakage without leakage_power_unit in the header counted as 0 in 4 cells")


def test_an_unknown_group_is_told_of(tmp_path: Path) -> None:
    note = usable(tmp_path, with_text("area : 1;", "area : 1; glow (x) { y : 1; }")).notes
    assert note == ("group glow is not read in 1 cells (inv)",)


def test_an_unknown_kind_of_arc_is_told_of(tmp_path: Path) -> None:
    notes = usable(tmp_path, with_text("timing_type : setup_rising", "timing_type : sunrise")).notes
    assert "timing_type sunrise is not read in 1 cells (dff)" in notes


@pytest.mark.parametrize("group", ["pg_pin", "receiver_capacitance1_rise", "ccsn_first_stage", "ocv_sigma_cell_rise"])
def test_a_group_that_is_harmless_by_a_rule_is_not(tmp_path: Path, group: str) -> None:
    assert usable(tmp_path, with_text("area : 1;", f"area : 1; {group} (x) {{ y (z) {{ }} }}")).notes == ()
    assert HARMLESS[group]


def test_no_group_is_both_read_and_passed_over() -> None:
    assert not READ & HARMLESS.keys()


# Flip-flops in all spellings


@pytest.mark.parametrize("spelling", ['"D"', "D", '"(D)"', "(D)", '"D * 1"', '"D & (E | !E)"', "\"(D')'\"", '"D|D"'])
def test_a_flip_flop_that_stores_its_data_is_plain(tmp_path: Path, spelling: str) -> None:
    cell = usable(tmp_path, with_text('next_state : "D"', f"next_state : {spelling}")).library.cells["dff"]
    assert cell.flip_flop is not None
    assert (cell.flip_flop.next_state, cell.flip_flop.state) == ("D", "IQ")


@pytest.mark.parametrize("spelling", ["( CK )", '"(CK)"', "CK", '"CK*CK"', '"!(!CK)"', '"CK " /* clock */'])
def test_a_clock_is_one_pin_however_it_is_written(tmp_path: Path, spelling: str) -> None:
    cell = usable(tmp_path, with_text('clocked_on : "CK"', f"clocked_on : {spelling}")).library.cells["dff"]
    assert cell.flip_flop is not None
    assert cell.flip_flop.clocked_on == "CK"


def test_one_that_stores_the_inverse_is_one_with_its_states_exchanged(tmp_path: Path) -> None:
    text = with_text('next_state : "D"', 'next_state : "!D"; clear : "!RN"; preset : "S"')
    path = tmp_path / "inverse.lib"
    path.write_text(text)
    ff = read_library(path).cells["dff"].flip_flop
    assert ff is not None
    assert (ff.next_state, ff.state, ff.inverted_state, ff.clear, ff.preset) == ("D", "IQN", "IQ", "S", "!RN")


@pytest.mark.parametrize(("function", "state"), [("IQN", "IQN"), ("(!IQ)", "IQN"), ("IQN'", "IQ"), ("( IQ )", "IQ")])
def test_an_output_shows_a_state_however_it_is_written(tmp_path: Path, function: str, state: str) -> None:
    cell = usable(tmp_path, with_text('function : "IQ"', f'function : "{function}"')).library.cells["dff"]
    assert cell.pins["Q"].function == state


# Power once per supply


def energies(cell: Cell) -> list[float]:
    return [sum(table.at(0.01, 0.001) for table in (p.rise, p.fall) if table) for p in cell.powers]


def per_supply(text: str, group: str) -> str:
    """Each group of a kind once for VDD and once for VSS."""
    parts = text.split(f"{group} () {{")
    made = parts[0]
    for part in parts[1:]:
        end, depth = 0, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(part[end], 0)
            end += 1
        body = part[:end]
        made += "".join(f"{group} () {{ related_pg_pin : {pin}; {body} " for pin in ("VDD", "VSS")) + part[end:]
    return made


def test_energies_given_once_per_supply_are_added(tmp_path: Path) -> None:
    once, twice = usable(tmp_path, PLAIN), usable(tmp_path, per_supply(PLAIN, "internal_power"))
    for name, cell in once.library.cells.items():
        assert energies(twice.library.cells[name]) == pytest.approx([2 * energy for energy in energies(cell)])


def test_leakages_given_once_per_supply_are_added(tmp_path: Path) -> None:
    once, twice = usable(tmp_path, PLAIN), usable(tmp_path, per_supply(PLAIN, "leakage_power"))
    before, after = once.library.cells["nand"].leakage_states, twice.library.cells["nand"].leakage_states
    assert after == tuple((when, pytest.approx(2 * uw)) for when, uw in before)


def test_a_leakage_per_supply_without_states_is_the_sum(tmp_path: Path) -> None:
    groups = "".join(f"leakage_power () {{ related_pg_pin : {pin}; value : {value}; }}" for pin, value in _SUPPLIES)
    text = with_text("cell_leakage_power : 10;", groups)
    assert usable(tmp_path, text).library.cells["inv"].leakage_uw == pytest.approx(0.013)


_SUPPLIES = (("VDD", 9), ("VSS", 4))


def test_states_that_differ_between_supplies_are_split(tmp_path: Path) -> None:
    old = 'internal_power () { related_pin : "A"; rise_power (scalar) { values ("1"); } fall_power'
    power = (
        'internal_power () {{ related_pg_pin : {}; related_pin : "A"; {} rise_power (scalar) {{ values ("{}"); }} }}'
    )
    parts = [("VDD", 'when : "B";', 3), ("VDD", "", 5), ("VSS", 'when : "!B";', 7)]
    nand = PLAIN[PLAIN.index("cell (nand)") :]
    text = PLAIN.replace(
        nand, nand.replace(old, " ".join(power.format(*part) for part in parts) + old[:0] + " x () { fall_power", 1)
    )
    cell = usable(tmp_path, text).library.cells["nand"]
    found = {p.when: p.rise.at(0.0) * 1000 for p in cell.powers if p.related_pin == "A" and p.rise}
    assert sorted(found.values()) == pytest.approx([3, 12])  # in fJ: B, and not B


# Arcs of one edge


def split_arcs(text: str) -> str:
    """Each combinational arc in two groups, one of each edge."""
    parts = text.split("timing () {")
    made = parts[0]
    for part in parts[1:]:
        if "timing_type" in part.split("}")[0]:
            made += "timing () {" + part
            continue
        end = part.index("fall_transition")
        end = part.index("}", part.index("}", end) + 1) + 1
        body = part[:end]
        made += (
            "".join(
                f"timing () {{ timing_type : combinational_{edge}; {_without_edge(body, other)}"
                for edge, other in (("rise", "fall"), ("fall", "rise"))
            )
            + part[end:]
        )
    return made


def _without_edge(body: str, edge: str) -> str:
    for name in (f"cell_{edge}", f"{edge}_transition"):
        start = body.index(name)
        body = body[:start] + body[body.index("}", start) + 1 :]
    return body


def test_arcs_split_by_edge_are_the_whole_arc(tmp_path: Path) -> None:
    whole, split = usable(tmp_path, PLAIN), usable(tmp_path, split_arcs(PLAIN))
    assert split.notes == ()
    for name in ("inv", "buf", "nand"):
        ours, theirs = split.library.cells[name].arcs, whole.library.cells[name].arcs
        assert [(a.pin, a.related_pin, a.kind, a.sense) for a in ours] == [
            (a.pin, a.related_pin, a.kind, a.sense) for a in theirs
        ]
        assert [set(arc.tables) for arc in ours] == [set(arc.tables) for arc in theirs]


def test_a_missing_sense_follows_from_the_function(tmp_path: Path) -> None:
    cell = usable(tmp_path, with_text("timing_sense : negative_unate;", "")).library.cells["nand"]
    assert {arc.sense for arc in cell.arcs} == {"negative_unate"}


# Syntax as yosys and OpenSTA take it


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("area : 1;", "area : 1 ;;"),
        ("area : 1;", "area : 1\n"),
        ("area : 1;", "area : 1 revision : 1.0.17;"),
        ("area : 1;", "area : 1 define_cell_area (bond_pads, pad_slots)"),
        ("area : 1;", "area /* um2 */ : /* one */ 1 /* ; */ ;"),
        ("area : 1;", "area : \\\n 1;"),
        ("area : 1;", "area : 1; // cell (x) { /*\n"),
        ("area : 1;", 'area : "1";'),
        ("area : 1;", "area : 1.0e0;"),
        ("area : 1;", "area = 1;"),
        ("area : 1;", "area : 1; x_ccb (inv:a, \\\n inv:y); date : Fri 12:30; vih : 0.7 * VDD ; vimax : VDD + 0.5 ;"),
        ("area : 1;", 'area : 1; comment : "a { b } c ; d \\" e";'),
        ("library (tiny)", 'library ("tiny")'),
        ("cell (inv)", 'cell ("inv")'),
        ("cell (inv)", "cell( inv )\n"),
        ("cell (inv) {", "cell (inv) /* { */ {"),
        ('function : "!A"', "function : !A"),
        ('function : "!A"', "function : A'"),
        ('function : "!A"', 'function : (!A) '),
        ('function : "!A"', 'function : "!\\\n A"'),
        ('values ("20, 40", "20, 40")', 'values ( \\\n "20 40", \\\n /* ( */ "20,40," \\\n )'),
        ('values ("20, 40", "20, 40")', "values (20, 40, 20, 40)"),
        ('index_1 ("0, 100")', "index_1 (0, 1.0E+2)"),
        ('time_unit : "1ps"', "time_unit : 1ps"),
        ('time_unit : "1ps"', 'time_unit : "0.001 nS"'),
        ('time_unit : "1ps"', 'time_unit : "1e-12"'),
        ('time_unit : "1ps"', 'time_unit : "1.0e-12s"'),
        ("capacitive_load_unit (1, ff)", 'capacitive_load_unit (0.001, "pF")'),
        ('leakage_power_unit : "1nW"', "leakage_power_unit : 1000pw"),
        ("nom_voltage : 2.0; nom_temperature : 25;", "operating_conditions (t) { voltage : 2; temperature : 25; }"),
        ("default_wire_load : small;", "default_wire_load : small; define (own, cell, string); own_style : %s[%d];"),
        ("default_wire_load : small;", "default_wire_load : small; define_group (own, library); own (x) { y : 1; }"),
        ("direction : input;", 'direction : "Input";'),
        ("\n", "\r\n"),
        ("/* A", "\ufeff/* A"),
        ("A library", "Bibliothek für Prüfer, µm,"),
    ],
)  # fmt: skip
def test_a_spelling_is_read_as_the_plain_one(tmp_path: Path, old: str, new: str) -> None:
    plain, other = usable(tmp_path, PLAIN), usable(tmp_path, with_text(old, new))
    assert other.notes == plain.notes
    for name, cell in plain.library.cells.items():
        read = other.library.cells[name]
        assert (read.area_um2, read.leakage_uw, list(read.pins)) == (cell.area_um2, cell.leakage_uw, list(cell.pins))
        assert [len(arc.tables) for arc in read.arcs] == [len(arc.tables) for arc in cell.arcs]
        delays = [
            [arc.tables["cell_rise"].at(0.05, 0.01) for arc in each.arcs if "cell_rise" in arc.tables]
            for each in (read, cell)
        ]
        assert delays[0] == pytest.approx(delays[1])


SHAPES = """/* what yosys' own tests of its reader hold */
library ("shapes") { type ( IO ) { base_type : array ; downto : true ; }
  define_cell_area (bond_pads,pad_slots)
  input_voltage (cmos) { vil : 0.3 * VDD ; vimin : -0.5 ; vimax : VDD + 0.5 ; }
  cell (x) {
    area : 8
    pin (A) {
      direction : input
    }
    pin (Y) { function : !A[0] ; original_pin : A[0] ; }
    ff ("IQ", "IQN") { next_state : (D&EN) | (IQ&!EN); clocked_on : !CLK; preset : !SETN ; }
    propagating_ccb (x:a, x:y);
    input_ccb (x:a) { is_needed : true ; }
    bus (I1) { pin (I1[3:0]) { timing () { rise_constraint (scalar) { values ("0.05"); } } } }
  };
};
"""


def test_statements_of_all_shapes_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "shapes.lib").write_text(SHAPES)
    library = parse_groups(tmp_path / "shapes.lib")
    cell = library.named("cell")[0]
    ff = cell.named("ff")[0].attributes
    assert (library.arguments, library.list("define_cell_area")) == (("shapes",), ("bond_pads", "pad_slots"))
    assert library.named("input_voltage")[0].attributes["vimax"] == "VDD + 0.5"
    assert (cell.attributes, cell.list("propagating_ccb")) == ({"area": "8"}, ("x:a", "x:y"))
    assert cell.named("pin")[0].attributes == {"direction": "input"}
    assert cell.named("pin")[1].attributes == {"function": "!A[0]", "original_pin": "A[0]"}
    assert ff == {"next_state": "(D&EN) | (IQ&!EN)", "clocked_on": "!CLK", "preset": "!SETN"}
    assert [group.name for group in cell.groups] == ["pin", "pin", "ff", "input_ccb", "bus"]


def test_a_pin_whose_name_begins_with_a_digit_is_read_and_its_cell_set_aside(tmp_path: Path) -> None:
    text = with_cell("odd", "nand", ("pin (A)", "pin (1A)"), ('related_pin : "A"', 'related_pin : "1A"'),
                     ('"!(A&B)"', '"!(1A B)"'), ('"!A&!B"', '"!1A !B"'), ('"!A&B"', '"!1A&B"'),
                     ('"A&!B"', '"1A&!B"'), ('"A&B"', '"1A&B"'))  # fmt: skip
    completed = usable(tmp_path, text)
    assert completed.notes == ("a name with other than letters, digits and _ in 1 cells (odd): not used",)


def test_a_file_may_include_another_of_its_folder(tmp_path: Path) -> None:
    start, end = PLAIN.index("  cell (inv)"), PLAIN.index("  cell (nand)")
    (tmp_path / "part.inc").write_text(PLAIN[start:end])
    assert "inv" in usable(tmp_path, PLAIN[:start] + "include_file (part.inc);\n" + PLAIN[end:]).library.cells


@pytest.mark.parametrize("name", ["../secret.lib", "/etc/passwd", "unusual.lib", "nowhere.lib", "."])
def test_a_file_includes_no_other_place_and_not_itself(tmp_path: Path, name: str) -> None:
    with pytest.raises(HardwareError, match=r"include_file|cannot read") as caught:
        usable(tmp_path, with_text("area : 1;", f'area : 1; include_file ("{name}");'))
    assert "\n" not in str(caught.value)


# Packed files, several files, several corners


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "packed.lib.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    assert set(read_library(path).cells) == {"inv", "buf", "nand", "dff"}


@pytest.mark.parametrize("keep", [5, 0.5, 0.99])
def test_a_damaged_packed_file_is_refused(tmp_path: Path, keep: float) -> None:
    packed = gzip.compress(PLAIN.encode())
    path = tmp_path / "cut.lib.gz"
    path.write_bytes(packed[: int(keep if keep > 1 else keep * len(packed))])
    with pytest.raises(HardwareError, match=r"cut\.lib\.gz: gzip cannot unpack it"):
        read_library(path)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewbits.hardware.process.library.liberty_syntax.MAXIMUM_BYTES", 100_000)
    path = tmp_path / "bomb.lib.gz"
    path.write_bytes(gzip.compress(b" " * 10_000_000))
    with pytest.raises(HardwareError, match="more than 100000 bytes unpacked"):
        read_library(path)


def parted(folder: Path, change: Callable[[str], str] = str) -> list[Path]:
    """The plain library in two files, the second changed."""
    header, cut = PLAIN[: PLAIN.index("  cell (inv)")], PLAIN.index("  cell (nand)")
    first, second = folder / "gates.lib", folder / "more.lib.gz"
    first.write_text(PLAIN[:cut] + "}\n")
    second.write_bytes(gzip.compress(change(header.replace("tiny", "more") + PLAIN[cut:]).encode()))
    return [first, second]


def test_files_that_belong_together_are_one_library(tmp_path: Path) -> None:
    library = complete(read_libraries(parted(tmp_path))).library
    assert set(library.cells) == {"inv", "buf", "nand", "dff"}
    assert (library.name, library.file_names) == ("tiny", "gates.lib, more.lib.gz")


def test_each_file_has_its_own_units(tmp_path: Path) -> None:
    library = read_libraries(parted(tmp_path, lambda text: text.replace("(1, ff)", "(10, ff)")))
    assert library.cells["inv"].pins["A"].capacitance_pf == pytest.approx(0.001)
    assert library.cells["nand"].pins["A"].capacitance_pf == pytest.approx(0.010)


def test_the_same_cells_at_two_corners_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "slow.lib", tmp_path / "fast.lib"]
    for path, volts in zip(paths, ("1.8", "2.2"), strict=True):
        path.write_text(with_text("nom_voltage : 2.0", f"nom_voltage : {volts}"))
    with pytest.raises(
        HardwareError, match=r"buf is in slow\.lib \(1\.8 V, 25 C\) too \(2\.2 V, 25 C\): .* one corner"
    ):
        read_libraries(paths)


def test_files_of_two_corners_are_refused(tmp_path: Path) -> None:
    paths = parted(tmp_path, lambda text: text.replace("nom_temperature : 25", "nom_temperature : 125"))
    with pytest.raises(HardwareError, match=r"is for 2 V, 125 C, gates\.lib for 2 V, 25 C"):
        read_libraries(paths)


def test_two_corners_of_a_real_library_are_refused(pdk: Path) -> None:
    with pytest.raises(HardwareError, match=r"1\.08 V, 125 C"):
        read_libraries(sorted(pdk.glob("*.lib.gz")))


# Refusals give the cause


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_text('clocked_on : "CK"', 'clocked_on : "!CK"'), "no plain flip-flop .*dff: flip-flop of the falling"),
        (with_text("area : 1;", "area : 1; dont_use : true;"), r"no inverter .*\(inv: marked dont_use\)"),
        (with_text("area : 1;", ""), r"no inverter .*\(inv: no area\)"),
        (with_text("area : 6;", "area : -6;"), r"no plain flip-flop .*\(dff: cannot be read \(line \d+: area must not"),
        (with_text('next_state : "D"', 'next_state : "D&E"'), "dff: flip-flop with enable or several data pins"),
    ],
)
def test_a_refusal_names_the_cell_and_why_it_is_not_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HardwareError, match=message) as caught:
        usable(tmp_path, text)
    assert "\n" not in str(caught.value)


# The shared cases


@pytest.fixture
def cases() -> Path:
    if not CASES.is_dir():
        pytest.skip("needs the shared cases, ../shared/cases beside the checkout")
    return CASES


ASIDE = {
    "base": (), "comb_split": (), "pg_dup": (), "qn_nextD_not": (), "unq_paren_clock": (),
    "dffe": ("flip-flop with enable or several data pins in 1 cells (DFFE): not used",),
    "ff_bank": ("multi-bit flip-flop in 1 cells (DFF2): not used",),
    "neg_leak": ("negative leakage taken as 0 in 1 cells (INV)",),
    "three_dim": (
        "cannot be read (line 45: cell_rise has 3 dimensions, tables of up to two are read) in 1 cells (XNOR2): "
        "not used",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASIDE)
def test_a_shared_case_gives_the_same_six_cells(cases: Path, case: str) -> None:
    completed = complete(read_library(cases / f"{case}.lib"))
    assert sorted(completed.library.cells) == ["BUF", "DFF", "INV", "NAND2", "NOR2", "XOR2"]
    assert completed.notes == (*ASIDE[case], NO_WIRES)


def neuron(liberty: Path) -> tuple[DatapathCost, EnergyModel]:
    """The neuron of the smallest precision on a library, without control and buffers."""
    library = complete(read_library(liberty)).library
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS)
    made, netlist, timing = synthesize_first([build_neuron("fixed2")], library, conditions, 100.0, str)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(None))
    return datapath_cost(made, netlist, timing, model, 100.0), model


@pytest.fixture(scope="module")
def base() -> tuple[DatapathCost, EnergyModel]:
    if not CASES.is_dir():
        pytest.skip("needs the shared cases, ../shared/cases beside the checkout")
    return neuron(CASES / "base.lib")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["dffe", "ff_bank", "three_dim", "comb_split", "unq_paren_clock"])
def test_a_shared_case_has_the_plain_ones_neuron(base: tuple[DatapathCost, EnergyModel], case: str) -> None:
    assert neuron(CASES / f"{case}.lib")[0] == base[0]


@pytest.mark.slow
def test_power_given_twice_is_twice_the_internal_energy(base: tuple[DatapathCost, EnergyModel]) -> None:
    _, twice = neuron(CASES / "pg_dup.lib")
    for before, after in zip(base[1].blocks, twice.blocks, strict=True):
        assert after.kind.name == before.kind.name
        # The clock pin's own group is there once, for no supply.
        factors = [1 if event.output is None else 2 for event in before.kind.events]
        assert after.energies_pj == pytest.approx(before.energies_pj * np.array(factors))
    assert twice.net_pj == pytest.approx(base[1].net_pj)


@pytest.mark.slow
def test_a_flip_flop_that_stores_the_inverse_is_used_with_inverters(base: tuple[DatapathCost, EnergyModel]) -> None:
    inverting, _ = neuron(CASES / "qn_nextD_not.lib")
    assert inverting.cell_counts["DFF"] == base[0].cell_counts["DFF"]
    assert inverting.cell_counts["INV"] > base[0].cell_counts.get("INV", 0)


@pytest.mark.nightly
@pytest.mark.parametrize("case", ["dffe", "ff_bank", "qn_nextD_not"])
def test_a_shared_case_characterizes_whole(cases: Path, case: str, tmp_path: Path) -> None:
    table = characterize(cases / f"{case}.lib", None, ["fixed2"], tmp_path / "table.json")
    assert table.datapaths["fixed2"].control is not None
    assert all(note in table.provenance["notes"] for note in ASIDE[case])
