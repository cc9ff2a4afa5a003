"""Buffers of one port: cycles that wait, macros of one port, and where they are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware import Accelerator, cost, load_technology, workload_of
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.ports import check_two_ports, with_ports
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.datapath import design
from fewbits.hardware.process.memory.sram import compose

ONE = Accelerator(buffer_ports=1)


def plans(accelerator: Accelerator):
    made = design("fixed8", accelerator.synapses)
    plain = schedule(workload_of("lenet", None), accelerator, pipeline(made, accelerator))
    return plain, with_ports(plain, accelerator)


def test_a_buffer_of_one_port_does_one_access_a_cycle():
    _, waiting = plans(ONE)
    for layer in waiting.layers:
        for one in layer.accesses.values():
            assert layer.busy_cycles + layer.stall_cycles >= one.reads + one.writes


def test_no_more_cycles_wait_than_rows_are_written():
    plain, waiting = plans(ONE)
    for before, after in zip(plain.layers, waiting.layers, strict=True):
        assert 0 <= after.cycles - before.cycles <= max(one.writes for one in after.accesses.values())
    assert waiting.cycles > plain.cycles


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 64))
def test_more_banks_never_wait_longer(neurons: int, synapses: int, banks: int):
    few, more = (
        plans(Accelerator(neurons, synapses, buffer_ports=1, buffer_banks=number))[1].cycles
        for number in (banks, min(64, banks + 1))
    )
    assert more <= few


def test_two_ports_wait_for_nothing():
    plain, waiting = plans(Accelerator(buffer_banks=4))
    assert waiting is plain


def test_macros_of_one_port_are_smaller_and_the_figures_say_what_waits():
    two, one = cost("lenet", "fixed8"), cost("lenet", "fixed8", accelerator=ONE)
    assert one.breakdown.area_mm2["sb"] < 0.8 * two.breakdown.area_mm2["sb"]
    assert one.cycles > two.cycles
    assert one.utilization < two.utilization
    assert "a row that is written waits for those that are read" in str(one.notes)


def test_stalls_for_bandwidth_come_on_top_of_the_ports():
    both = cost("lenet", "fixed8", accelerator=replace(ONE, bandwidth=1.0))
    assert both.cycles > cost("lenet", "fixed8", accelerator=ONE).cycles
    assert both.cycles >= cost("lenet", "fixed8", accelerator=Accelerator(bandwidth=1.0)).cycles


def test_each_bank_has_macros_of_its_own():
    macros = load_technology().macros
    whole, split = (compose(64, 64, macros, 1, interleaved=banks) for banks in (1, 4))
    assert split.macros == 4 * compose(16, 64, macros, 1).macros
    assert split.area_um2 > whole.area_um2


def test_keys_of_the_usual_buffers_stay():
    assert set(Accelerator().definition()) == {"neurons", "synapses", "buffer_rows", "clock_mhz", "memory_latency"}
    assert Accelerator(**ONE.definition()) == ONE


@pytest.mark.parametrize("ports", [0, 3, 1.5, "2", True, None])
def test_other_ports_are_refused(ports: object):
    with pytest.raises(HardwareError, match="buffer_ports must be 1 or 2, not"):
        Accelerator(buffer_ports=ports)  # type: ignore[arg-type]


@pytest.mark.parametrize("banks", [0, -1, 2.0, "4", 65, 1 << 40])
def test_senseless_banks_are_refused(banks: object):
    with pytest.raises(HardwareError, match="buffer_banks"):
        Accelerator(buffer_banks=banks)  # type: ignore[arg-type]


@pytest.mark.parametrize("accelerator", [ONE, Accelerator(buffer_banks=2)])
def test_no_circuit_has_such_buffers(accelerator: Accelerator):
    with pytest.raises(HardwareError, match="one bank of two ports each"):
        check_two_ports(accelerator)


def test_the_command_line_takes_ports_and_banks(capsys: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "--ports", "1", "--banks", "2", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["cycles"] == cost("lenet", "fixed8", accelerator=replace(ONE, buffer_banks=2)).cycles
    assert main(["cost", "lenet", "fixed8", "--ports", "3"]) == 2
    assert capsys.readouterr().err.count("\n") <= 1
