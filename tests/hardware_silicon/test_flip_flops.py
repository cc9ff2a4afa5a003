"""Buffers of flip-flops: the circuit is a buffer, its figures are its cells', and the rule holds for sizes left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware import Accelerator, cost, load_technology
from fewbits.hardware.characterization import flip_flops
from fewbits.hardware.characterization.flip_flops import (
    IDLE,
    describe,
    register_file_cost,
    register_files,
    with_register_files,
)
from fewbits.hardware.dataflow.diannao.circuit.buffers import Buffer
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.synthesis import synthesize
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.memory.sram import compose
from fewbits.hardware.process.technology import FLIP_FLOPS, MacroCost, Technology
from fewbits.hardware.rtl.register_file import RegisterFile

MHZ = 250.0


def silent(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = tmp_path_factory.mktemp("tiny") / "tiny.lib"
    path.write_text(mappable_liberty())
    return read_library(path)


def conditions(library: Library) -> Conditions:
    return Conditions(0.1, 0.1, wire=library.wire_load)


def made(library: Library, *sizes: tuple[int, int]) -> list[MacroCost]:
    return [register_file_cost(one, library, conditions(library), MHZ, silent) for one in register_files(sizes)]


@pytest.fixture(scope="module")
def smallest(tiny: Library) -> MacroCost:
    return made(tiny, (4, 3))[0]


Access = tuple[bool, int, int, bool, int]
"""Write, its row, its data, read, its row."""


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(2, 9),
    accesses=st.lists(
        st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 31), st.booleans(), st.integers(0, 8)), max_size=30
    ),
)
def test_a_register_file_does_what_a_buffer_does(rows: int, accesses: list[Access]) -> None:
    assert list(outputs(RegisterFile(rows, 5), rows, accesses)) == list(outputs(Buffer(rows, 5), rows, accesses))


def outputs(memory: RegisterFile | Buffer, rows: int, accesses: list[Access]) -> Iterator[int]:
    """What a memory shows in the cycle after each access; the row that is read is never the one being written."""
    seen: list[int] = []

    async def bench(simulation: object) -> None:
        for write, to, data, read, row in accesses:
            reads = read and not (write and to % rows == row % rows)
            signals = (memory.write, memory.write_row, memory.write_data, memory.read, memory.read_row)
            for signal, value in zip(signals, (write, to % rows, data, reads, row % rows), strict=True):
                simulation.set(signal, value)  # pyright: ignore
            await simulation.tick()  # pyright: ignore
            seen.append(simulation.get(memory.read_data) if reads else -1)  # pyright: ignore

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)  # pyright: ignore
    simulator.run()
    return iter(seen)


def test_area_and_leakage_are_those_of_the_cells(tiny: Library, smallest: MacroCost) -> None:
    (design,) = register_files([(4, 3)])
    netlist, _ = synthesize_for_clock(
        "", design.rtlil, "register_file", tiny, conditions(tiny), MHZ, flip_flops.ATTEMPTS, silent
    )
    assert netlist.cell_counts["dff"] == 4 * 3 + 2  # the row that is shown is registered
    area_um2 = {"inv": 1.0, "buf": 2.0, "nand": 2.0, "dff": 6.0}
    assert smallest.area_um2 == sum(area_um2[name] * count for name, count in netlist.cell_counts.items())
    nanowatts = {"inv": (10, 10), "buf": (20, 20), "nand": (8, 24), "dff": (40, 40)}
    least, most = (sum(nanowatts[name][k] * n for name, n in netlist.cell_counts.items()) / 1000 for k in (0, 1))
    assert least < smallest.leakage_uw < most


def test_every_cycle_pays_the_clock_pins(smallest: MacroCost) -> None:
    # 14 flip-flops whose data stay: twice 2 fJ inside (`tiny_library`), twice 1/2 C V^2 of 2 fF at 2 V; a tree on top.
    least_pj = 14 * (2 * 2 + 2 * 0.5 * 2 * 2.0**2) / 1000
    assert smallest.cycle_energy_pj >= least_pj


def test_reads_and_writes_come_on_top(smallest: MacroCost) -> None:
    assert 0 < smallest.read_energy_pj < smallest.write_energy_pj


def test_what_is_read_is_checked(tiny: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    (design,) = register_files([(4, 3)])
    netlist = synthesize(design.rtlil, tiny, delay_target_ns=4.0, top="register_file", mapping="balanced").netlist
    assert flip_flops.simulate(design, netlist).activity(IDLE).toggles.max() == 2.0  # the clock's
    gate = next(group for group in netlist.groups if group.cell.name == "nand")
    broken = replace(netlist, groups=tuple(
        replace(group, nets=group.nets[:, ::-1].copy()) if group is gate else group for group in netlist.groups
    ))  # fmt: skip
    with pytest.raises(HardwareError, match="does not read what was written"):
        flip_flops.simulate(design, broken)


def test_macros_of_two_ports_are_not_replaced(tiny: Library) -> None:
    macro = MacroCost("m", 64, 32, 2, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert with_register_files([macro], None, tiny, conditions(tiny), MHZ, silent) == ((macro,), {})


def test_register_files_of_an_earlier_table_are_kept(tiny: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flip_flops, "SIZES", ((2, 1),))
    monkeypatch.setattr(flip_flops, "register_files", lambda: register_files([(2, 1)]))
    one_port = MacroCost("m", 64, 32, 1, 1.0, 1.0, 1.0, 1.0, 1.0)
    macros, provenance = with_register_files([one_port], None, tiny, conditions(tiny), MHZ, silent)
    assert [macro.ports for macro in macros] == [1, 2]
    earlier = replace(load_technology(), macros=macros, provenance=provenance)
    said: list[str] = []
    assert with_register_files([], earlier, tiny, conditions(tiny), MHZ, said.append)[0] == macros[1:]
    assert said == ["register files: kept, nothing has changed"]


def with_flip_flops(*macros: MacroCost) -> Technology:
    return replace(load_technology(), macros=macros)


COLUMN = MacroCost("flip-flops 64x16", 64, 16, 2, 100.0, 0.0, 0.0, 0.0, 1.0, 5.0, f"{FLIP_FLOPS} of cells")


def test_a_cost_counts_every_cycle_of_flip_flops_and_says_so() -> None:
    spent = cost("lenet", "fixed8", technology=with_flip_flops(COLUMN))
    idle = cost("lenet", "fixed8", technology=with_flip_flops(replace(COLUMN, cycle_energy_pj=0.0)))
    tile = Accelerator()
    bits = tile.synapses * 8 + tile.neurons * tile.synapses * 8 + tile.neurons * 8
    assert spent.energy_uj - idle.energy_uj == pytest.approx(spent.cycles * bits / 16 * 5.0e-6)
    assert any("buffers are flip-flops of cells" in note and "no clock is gated" in note for note in spent.notes)


def test_a_cost_with_sram_macros_says_nothing_of_flip_flops() -> None:
    assert not any(FLIP_FLOPS in note for note in cost("lenet", "fixed8").notes)


def test_the_note_tells_the_rules_error() -> None:
    small = replace(COLUMN, name="small", rows=16, area_um2=30.0, cycle_energy_pj=1.25)
    wide = replace(COLUMN, name="wide", bits=64, area_um2=390.0, cycle_energy_pj=20.0)
    assert "area 11 % (+3 to +20 %)" in describe([small, COLUMN, wide])


@pytest.fixture(scope="module")
def ihp(pdk: Path) -> tuple[Library, list[MacroCost]]:
    library = read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")
    return library, made(library, *flip_flops.SIZES)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 32), (128, 64), (32, 64)])
def test_the_rule_holds_for_sizes_left_out(ihp: tuple[Library, list[MacroCost]], size: tuple[int, int]) -> None:
    library, macros = ihp
    own = made(library, size)[0]
    composed = compose(*size, macros, 2)
    assert composed.area_um2 == pytest.approx(own.area_um2, rel=0.10)
    assert composed.leakage_uw == pytest.approx(own.leakage_uw, rel=0.10)
    for access in ("read_energy_pj", "write_energy_pj"):
        ours, synthesized = (one.cycle_energy_pj + getattr(one, access) for one in (composed, own))
        assert ours == pytest.approx(synthesized, rel=0.10)
