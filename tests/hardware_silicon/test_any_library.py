"""Characterization of any library: IHP's, Debian's OSU 180 nm, one written by hand; what a library lacks is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sta import SLEW_NS, gates_leakage_uw, longest_path_ns  # pyright: ignore
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE, datapath_cost
from fewbits.hardware.characterization.neuron_options import build_neuron, synthesize_first
from fewbits.hardware.characterization.read_path import NO_SELECTION
from fewbits.hardware.characterization.technology_table import characterize
from fewbits.hardware.costing.network_cost import cost
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, analyze
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_libraries, read_library
from fewbits.hardware.process.technology import DatapathCost, Technology, load_technology

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Where Debian's package qflow-tech-osu018 puts it."""

PRECISION = "binary/fixed2"

NOTE = "predictive: no foundry makes it"


@pytest.fixture
def osu018() -> Path:
    if not OSU018.exists():
        pytest.skip("needs the OSU 180 nm library (Debian's package qflow-tech-osu018)")
    return OSU018


def written(folder: Path, change: Callable[[str], str] = str) -> Path:
    path = folder / "written.lib"
    path.write_text(change(mappable_liberty()))
    return path


def without(*statements: str) -> Callable[[str], str]:
    """The text with these statements taken out, each of which must be there."""

    def change(text: str) -> str:
        for statement in statements:
            assert statement in text
            text = text.replace(statement, "")
        return text

    return change


def characterized(liberty: Path, folder: Path) -> tuple[DatapathCost, dict[str, str], list[str]]:
    said: list[str] = []
    table = characterize(liberty, None, [PRECISION], folder / "table.json", progress=said.append, note=NOTE)
    assert load_technology(folder / "table.json") == table
    return table.datapaths[PRECISION], table.provenance, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by-hand")


@pytest.fixture(scope="module")
def made(folder: Path) -> tuple[DatapathCost, dict[str, str], list[str]]:
    """The hand-written library without wires, so that every capacitance is a pin's."""
    return characterized(written(folder, without("default_wire_load : small;")), folder)


@pytest.fixture(scope="module")
def by_hand(made: tuple[DatapathCost, dict[str, str], list[str]]) -> DatapathCost:
    return made[0]


@pytest.mark.slow
def test_area_is_that_of_the_counted_cells(by_hand: DatapathCost) -> None:
    each = {"inv": 1.0, "buf": 2.0, "nand": 2.0, "dff": 6.0}
    counted = sum(each[name] * count for name, count in by_hand.cell_counts.items())
    assert sum(part.area_um2 for part in by_hand.components.values()) == pytest.approx(counted)


@pytest.mark.slow
def test_leakage_is_that_of_the_counted_cells(by_hand: DatapathCost) -> None:
    nanowatts = {"inv": 10, "buf": 20, "nand": (8 + 12 + 16 + 24) / 4, "dff": 40}
    counted = sum(nanowatts[name] * count for name, count in by_hand.cell_counts.items())
    assert sum(part.leakage_uw for part in by_hand.components.values()) == pytest.approx(counted / 1000)


@pytest.mark.slow
def test_energy_is_that_of_the_counted_cells_and_their_pins(by_hand: DatapathCost) -> None:
    toggles = TOGGLES_PER_CYCLE
    # A flip-flop's clock toggles twice: 2 fJ each where data stay, 6 fJ where they change; its output costs 6 fJ.
    flop = 2 * ((1 - toggles) * 2 + toggles * 6) + toggles * 6
    internal = {"inv": toggles * 1, "buf": toggles * 1, "nand": toggles * 1.5, "dff": flop}
    data_pins_ff = {"inv": 1, "buf": 1, "nand": 1 + 3, "dff": 1}
    clock_pin_ff = 2
    half_v_squared = 0.5 * 2.0**2
    femtojoules = (
        sum(
            count * (internal[name] + half_v_squared * toggles * data_pins_ff[name])
            for name, count in by_hand.cell_counts.items()
        )
        + by_hand.cell_counts["dff"] * half_v_squared * 2 * clock_pin_ff
    )
    # A few pins are tied to a constant and do not toggle.
    assert sum(part.energy_pj for part in by_hand.components.values()) == pytest.approx(femtojoules / 1000, rel=1e-3)


@pytest.mark.slow
def test_a_table_tells_its_fallbacks(made: tuple[DatapathCost, dict[str, str], list[str]]) -> None:
    _, provenance, said = made
    wires = "no wire-load model: nets bear the load of their pins alone"
    notes = [line.removeprefix("tiny: ") for line in said if line.startswith("tiny: ")]
    assert provenance["notes"] == "; ".join(notes)
    assert notes[0] == wires
    assert notes[1].startswith("buffers are flip-flops of the library, since no SRAM macro has two ports")
    assert notes[2] == NO_SELECTION


@pytest.mark.slow
def test_a_given_note_is_in_each_cost_on_the_table(made: object, folder: Path) -> None:
    assert made
    assert cost("mlp", PRECISION, technology=folder / "table.json").notes[0] == f"technology table: {NOTE}"


@pytest.mark.slow
def test_a_given_note_stays_when_the_table_is_made_again_without(made: object, folder: Path) -> None:
    assert made
    again = characterize(folder / "written.lib", None, [PRECISION], folder / "table.json")
    assert again.provenance["note"] == NOTE


@pytest.mark.slow
def test_a_table_without_macros_gives_a_networks_cost(made: object, folder: Path) -> None:
    assert made
    lenet = cost("lenet", PRECISION, technology=folder / "table.json")
    assert lenet.energy_uj > 0
    assert "buffers are flip-flops of tiny" in lenet.notes[-1]


def test_the_real_library_lacks_nothing(pdk: Path) -> None:
    assert complete(read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")).notes == ()


@pytest.mark.slow
def test_a_library_without_power_and_leakage_and_wires_gives_a_table_that_says_so(tmp_path: Path) -> None:
    def change(text: str) -> str:
        text = text.replace("internal_power", "hidden_power").replace("leakage_power ()", "hidden_leakage ()")
        return text.replace("cell_leakage_power", "user_leakage").replace("default_wire_load : small;", "")

    datapath, provenance, _ = characterized(written(tmp_path, change), tmp_path)
    for note in ("no internal power in 4 of 4 cells", "no leakage in 4 of 4 cells", "no wire-load model"):
        assert note in provenance["notes"]
    assert sum(part.leakage_uw for part in datapath.components.values()) == 0
    assert sum(part.energy_pj for part in datapath.components.values()) > 0


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (without("default_wire_load : small;"), "no wire-load model: nets bear the load of their pins alone"),
        (lambda text: text.replace("setup_rising", "hold_rising"), "no setup time in 1 cells (dff): counted as 0"),
        (lambda text: with_second_nand(text, "area : 2;", ""), "no area in 1 cells (spare): not used"),
        (lambda text: with_second_nand(text, "cell_rise", "x"), "no delay tables in 1 cells (spare): not used"),
    ],
)
def test_a_fallback_is_noted(tmp_path: Path, change: Callable[[str], str], note: str) -> None:
    completed = complete(read_library(written(tmp_path, change)))
    assert completed.notes == (note,)
    assert "spare" not in completed.library.cells or completed.library.cells["spare"].dont_use


def with_second_nand(text: str, old: str, new: str) -> str:
    """The text with one more nand, `spare`, in which something is replaced."""
    nand = text[text.index("  cell (nand)") : text.index("  cell (dff)")]
    return text.removesuffix("}\n") + nand.replace("(nand)", "(spare)").replace(old, new) + "}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("ff (IQ, IQN)", "latch (IQ, IQN)"), "no plain flip-flop"),
        (lambda text: text.replace('clocked_on : "CK"', 'clocked_on : "CP"'), "no plain flip-flop"),
        (lambda text: text.replace("cell_rise", "other_rise"), "no logic cell has delay tables"),
        (lambda text: text.replace('function : "!A"', 'function : "A"'), "no inverter"),
        (lambda text: text.replace('function : "A"', 'function : "!A"'), "no buffer"),
        (lambda text: text.replace('function : "!(A&B)"', 'function : "A^B"'), "no two-input nand"),
        (lambda text: text.replace("area :", "size :"), "no logic cell has delay tables|no inverter"),
    ],
)
def test_what_cannot_be_done_without_is_refused_before_synthesis(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(HardwareError, match=message) as caught:
        characterize(written(tmp_path, change), None, [PRECISION], tmp_path / "table.json")
    assert "written.lib" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_debians_180_nm_library_is_characterized(tmp_path: Path, osu018: Path) -> None:
    datapath, provenance, _ = characterized(osu018, tmp_path)
    assert "no wire-load model" in provenance["notes"]
    library = read_library(osu018)
    counted = sum(library.cells[name].area_um2 * count for name, count in datapath.cell_counts.items())
    assert sum(part.area_um2 for part in datapath.components.values()) == pytest.approx(counted)
    assert datapath.meets_target
    assert all(part.energy_pj > 0 and part.leakage_uw > 0 for part in datapath.components.values())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4", "binary/fixed16", "pow2-4/fixed8"])
def test_longest_path_on_debians_library_is_that_of_opensta(tmp_path: Path, osu018: Path, precision: str) -> None:
    within_ten_percent(tmp_path, read_library(osu018), precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["binary/fixed16", "pow2-4/fixed8"])
def test_longest_path_on_ihps_library_is_that_of_opensta(tmp_path: Path, pdk: Path, precision: str) -> None:
    within_ten_percent(tmp_path, read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib"), precision)


@pytest.mark.slow
def test_longest_path_on_the_written_library_is_that_of_opensta(tmp_path: Path) -> None:
    within_ten_percent(tmp_path, read_library(written(tmp_path)), PRECISION)


@pytest.fixture
def sky130() -> Library:
    """SkyWater's high-density library, 428 cells."""
    return read_libraries(shared_files("sky130hd", 1))


@pytest.fixture
def asap7() -> Library:
    """ASAP7, a predictive 7 nm library in five files."""
    return read_libraries(shared_files("asap7", 5))


def shared_files(folder: str, count: int) -> list[Path]:
    found = sorted((Path(__file__).parents[3] / "shared" / "pdk" / folder).glob("*.lib.gz"))
    if len(found) != count:
        pytest.skip(f"needs the shared process data, ../shared/pdk/{folder} beside the checkout")
    return found


def test_skywaters_library_is_read_in_time() -> None:
    start = time.process_time()
    read_libraries(shared_files("sky130hd", 1))
    assert time.process_time() - start < 15  # it takes about two seconds


def test_skywaters_flip_flops_with_enable_are_set_aside(sky130: Library) -> None:
    completed = complete(sky130)
    names = "sky130_fd_sc_hd__edfxbp_1, sky130_fd_sc_hd__edfxtp_1"
    assert completed.notes == (f"flip-flop with enable or several data pins in 2 cells ({names}): not used",)
    assert completed.cells.startswith("321 of 428 mapped to; not: 24 scan flip-flop, 17 latch, ")


@pytest.mark.slow
def test_energy_and_leakage_on_asap7_are_the_sum_of_both_supplies(asap7: Library) -> None:
    cell = asap7.cells["NAND2xp5_ASAP7_75t_R"]
    power = next(p for p in cell.powers if p.related_pin == "A" and p.rise is not None)
    assert power.rise is not None
    assert power.rise.at(0.005, 0.00036) == pytest.approx((0.139613 - 0.0341296) / 1000)  # VDD's and VSS's, in fJ
    states = {when: uw * 1e6 for when, uw in cell.leakage_states}  # in pW
    assert states["(A * B * !Y)"] == pytest.approx(66.3488 + 0)
    assert (cell.leakage_uw or 0) * 1e6 == pytest.approx(49.6344)


@pytest.mark.slow
def test_longest_path_on_skywaters_library_is_that_of_opensta(tmp_path: Path, sky130: Library) -> None:
    within_ten_percent(tmp_path, sky130, PRECISION)


@pytest.mark.slow
def test_leakage_on_skywaters_library_is_that_of_opensta(tmp_path: Path, sky130: Library) -> None:
    rtlil = build_neuron(PRECISION).rtlil
    netlist = synthesize(rtlil, sky130, delay_target_ns=3.0, top=top_module(rtlil), mapping="fast").netlist
    timing = analyze(netlist, Conditions(SLEW_NS, SLEW_NS, wire=sky130.wire_load))
    power = estimate(netlist, uniform_activity(netlist, TOGGLES_PER_CYCLE), timing.slew_ns, timing.load_pf)
    ours = float(power.leakage_uw[~netlist.sequential].sum())
    assert ours == pytest.approx(gates_leakage_uw(tmp_path, sky130, netlist), rel=0.001)


@pytest.mark.slow
def test_longest_path_on_asap7_is_that_of_opensta(tmp_path: Path, asap7: Library) -> None:
    within_ten_percent(tmp_path, asap7, PRECISION)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sky130", "asap7"])
def test_ratios_between_precisions_are_those_on_ihps_library(name: str, request: pytest.FixtureRequest) -> None:
    library = complete(request.getfixturevalue(name)).library
    ours = {precision: figures(library, precision) for precision in ("fixed4", "fixed8", "binary/fixed16")}
    ihp = {precision: total(load_technology().datapaths[precision]) for precision in ours}
    for precision in ("fixed8", "binary/fixed16"):
        for here, there in zip(
            (a / b for a, b in zip(ours[precision], ours["fixed4"], strict=True)),
            (a / b for a, b in zip(ihp[precision], ihp["fixed4"], strict=True)),
            strict=True,
        ):
            assert here == pytest.approx(there, rel=0.15)


def figures(library: Library, precision: str) -> tuple[float, float]:
    """Area and energy a cycle of a neuron for the accelerator's clock."""
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    neuron, netlist, timing = synthesize_first([build_neuron(precision)], library, conditions, 250.0, str)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    return total(datapath_cost(neuron, netlist, timing, model, 250.0))


def total(datapath: DatapathCost) -> tuple[float, float]:
    parts = datapath.components.values()
    return sum(part.area_um2 for part in parts), sum(part.energy_pj for part in parts)


@pytest.fixture(scope="module")
def whole_tables(pdk: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Technology]:
    """Tables with control and buffers of flip-flops, of three libraries."""
    libraries = {
        "ihp": [pdk / "sg13g2_stdcell_typ_1p20V_25C.lib"],
        "sky130hd": shared_files("sky130hd", 1),
        "asap7": shared_files("asap7", 5),
    }
    folder = tmp_path_factory.mktemp("whole")
    return {
        name: characterize(files, None, ["fixed4", "fixed8"], folder / f"{name}.json")
        for name, files in libraries.items()
    }


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["sky130hd", "asap7"])
def test_a_whole_open_library_characterizes_and_lenet_costs_on_it(
    whole_tables: dict[str, Technology], name: str
) -> None:
    table = whole_tables[name]
    assert table.datapaths["fixed4"].meets_target
    assert table.datapaths["fixed4"].control is not None
    assert cost("lenet", "fixed4", technology=table).energy_uj > 0


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["sky130hd", "asap7"])
@pytest.mark.parametrize("figure", ["area_mm2", "energy_uj"])
def test_ratios_between_lenets_costs_are_those_on_ihps_cells(
    whole_tables: dict[str, Technology], name: str, figure: str
) -> None:
    here, there = (
        getattr(cost("lenet", "fixed8", technology=table), figure)
        / getattr(cost("lenet", "fixed4", technology=table), figure)
        for table in (whole_tables[name], whole_tables["ihp"])
    )
    assert here == pytest.approx(there, rel=0.15)


def within_ten_percent(folder: Path, library: Library, precision: str) -> None:
    rtlil = build_neuron(precision).rtlil
    netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil), mapping="fast").netlist
    ours = analyze(netlist, replace(Conditions(SLEW_NS, SLEW_NS), wire=library.wire_load)).longest_path_ns
    assert ours == pytest.approx(longest_path_ns(folder, library, netlist), rel=0.10)
