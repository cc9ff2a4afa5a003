"""Counts: each cell is known or refused, what was counted is kept, memories are block RAM, products DSP blocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from fewbits import HardwareError
from fewbits.hardware.dataflow.diannao.circuit.buffers import Buffer
from fewbits.hardware.fpga import FAMILIES, Resources, counted, device_named, family_named
from fewbits.hardware.fpga import kept as keeping
from fewbits.hardware.fpga.kept import kept
from fewbits.hardware.rtl.instances import component_rtlil

ECP5 = FAMILIES["ecp5"]


class Products(Component):
    """Sixteen products of eight bits, registered."""

    def __init__(self) -> None:
        super().__init__({"a": In(128), "b": In(128), "product": Out(256)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i in range(16):
            a, b = (x.word_select(i, 8).as_signed() for x in (self.a, self.b))
            m.d.sync += self.product.word_select(i, 16).eq(a * b)
        return m


def test_sixteen_plain_products_take_sixteen_dsp_blocks():
    found = counted(component_rtlil(Products(), "products"), "products", ECP5)
    assert found.dsps == 16
    assert found.luts == 0


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_a_buffer_is_block_ram_without_a_flip_flop(family: str):
    found = counted(component_rtlil(Buffer(64, 128), "buffer"), "buffer", FAMILIES[family])
    assert found.block_rams == FAMILIES[family].memory(64, 128).block_rams > 0
    assert found.flip_flops == 0
    assert found.luts <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["ecp5", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("ice40", "xc7"))]
)
@pytest.mark.parametrize(
    ("rows", "bits"), [(64, 128), (64, 2048), (64, 40), (512, 8), (1024, 24), (2048, 64), (16, 16)]
)
def test_the_rule_for_block_rams_is_what_yosys_counts(family: str, rows: int, bits: int):
    found = counted(component_rtlil(Buffer(rows, bits), "buffer"), "buffer", FAMILIES[family])
    assert found.flip_flops <= 2  # of deep ones: which block answers
    assert found.block_rams == pytest.approx(FAMILIES[family].memory(rows, bits).block_rams, rel=0.05)


def test_a_cell_that_is_not_known_is_refused(mapper: Callable[..., list[str]]):
    mapper(lambda top: {"LUT4": 3, "EHXPLLL": 1})
    with pytest.raises(HardwareError, match=r"EHXPLLL.*Lattice ECP5.*yosys 0"):
        counted("", "top", ECP5)


def test_carries_of_ecp5_take_two_luts_each(mapper: Callable[..., list[str]]):
    mapper(lambda top: {"LUT4": 3, "CCU2C": 5, "$scopeinfo": 7, "PFUMX": 2})
    assert counted("", "top", ECP5) == Resources(luts=13, carries=5)


def test_what_was_counted_is_not_counted_again(mapper: Callable[..., list[str]]):
    asked = mapper(lambda top: {"LUT4": 3})
    lines: list[str] = []
    assert counted("one", "top", ECP5, lines.append) == counted("one", "top", ECP5, lines.append)
    counted("two", "top", ECP5, lines.append)
    assert len(asked) == len(lines) == 2


def test_another_family_is_another_count(mapper: Callable[..., list[str]]):
    asked = mapper(lambda top: {})
    for name in FAMILIES:
        counted("one", "top", FAMILIES[name])
    assert len(asked) == len(FAMILIES)


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"LUT4": -1}', '{"LUT4": "many"}', '{"LUT4": NaN}', "\xff", "[" * 9999]
)
def test_a_damaged_file_is_counted_anew(content: str, cache: Path):
    made: list[int] = []

    def make() -> dict[str, float]:
        made.append(1)
        return {"LUT4": 3.0}

    kept(("key",), make)
    (path,) = cache.rglob("*.json")
    path.write_text(content, encoding="latin-1")
    assert kept(("key",), make) == {"LUT4": 3.0}
    assert len(made) == 2
    assert json.loads(path.read_text()) == {"LUT4": 3.0}


def test_a_folder_that_cannot_be_written_is_told_and_does_not_hinder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(keeping, "folder", lambda: tmp_path / "file" / "counts")
    lines: list[str] = []
    assert kept(("key",), lambda: {"LUT4": 3.0}, lines.append) == {"LUT4": 3.0}
    assert "not kept" in lines[0]


def test_an_interrupted_count_leaves_nothing_behind(cache: Path):
    def interrupted() -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(("key",), interrupted)
    assert not list(cache.rglob("*.*"))


@pytest.mark.parametrize("name", ["", "XC8", "spartan 6", "ecp5\n", "../xc7"])
def test_an_unknown_family_is_refused_with_those_there_are(name: str):
    with pytest.raises(HardwareError, match=r"xc7.*ecp5.*ice40"):
        family_named(name)


@pytest.mark.parametrize("name", ["", "xc7", "lfe5u-85", "XC7VX485T-2"])
def test_an_unknown_device_is_refused_with_those_there_are(name: str):
    with pytest.raises(HardwareError, match=r"xc7vx485t.*lfe5u-85f"):
        device_named(name)


def test_names_are_found_in_any_case():
    assert family_named("ECP5") is ECP5
    assert device_named("LFE5U-85F")[0] is ECP5


def test_excess_names_what_is_short():
    budget = Resources(100, 100, 2, 1)
    assert Resources(100, 100, 2, 1, carries=1000).fits(budget)
    assert Resources(101, 5, 3, 1.5).excess(budget) == (
        "LUTs 101 of 100", "DSP blocks 3 of 2", "block RAMs 1.5 of 1"
    )  # fmt: skip
