"""Cost joins schedule, datapath and buffers: checked by hand with a technology of round numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from lenet_by_hand import LENET
from torch import nn

from fewbits import FormatError, HardwareError, ModelError
from fewbits.hardware.costing.network_cost import Cost, cost
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.process.memory import sram
from fewbits.hardware.process.technology import (
    LOGIC_COMPONENTS,
    ComponentCost,
    ControlCost,
    DatapathCost,
    MacroCost,
    Technology,
    load_technology,
)
from fewbits.models import build

PARTS = ("multipliers", "adder_tree", "registers", "rest", "control", "clock", "bin", "sb", "bout")
"""Of the neurons, around them, the buffers: in the order of figures."""

ENERGY_PJ = {"multipliers": 8.0, "adder_tree": 4.0, "registers": 2.0, "rest": 1.0}


def datapath(precision: str, **changes: object) -> DatapathCost:
    components = {
        name: ComponentCost(cells=10, area_um2=1000.0, leakage_uw=0.5, energy_pj=ENERGY_PJ[name])
        for name in LOGIC_COMPONENTS
    }
    made = DatapathCost(
        precision=precision,
        components=components,
        cell_counts={},
        accumulator_bits=32,
        longest_path_ns=3.0,
        clock_mhz=250.0,
        meets_target=True,
        pipeline_stages=4,
        accumulate_cycles=1,
        multiplier="round numbers",
        activity=0.1,
    )
    return dataclasses.replace(made, **changes)


MACRO = MacroCost(
    name="ram",
    rows=64,
    bits=64,
    ports=2,
    area_um2=10_000.0,
    read_energy_pj=3.0,
    write_energy_pj=5.0,
    leakage_uw=2.0,
    access_ns=2.0,
)

CONTROL = ControlCost(
    cells=100,
    registers=40,
    area_um2=5000.0,
    leakage_uw=0.25,
    longest_path_ns=3.5,
    clock_mhz=250.0,
    computing_pj=30.0,
    pooling_pj=20.0,
    clock_tree_pj=6.0,
)

TABLE = Technology(
    name="round",
    process="none",
    voltage_v=1.2,
    temperature_c=25.0,
    target_clock_mhz=250.0,
    datapaths={
        "fixed8": datapath("fixed8"),
        "pow2-6/fixed16": datapath("pow2-6/fixed16", accumulator_bits=40),
        "float32": datapath("float32", clock_mhz=100.0, meets_target=False, accumulate_cycles=4),
    },
    macros=(MACRO,),
    provenance={},
)


@pytest.fixture(scope="module")
def fixed8() -> Cost:
    return cost(LENET, "fixed8", technology=TABLE)


LENET_BUSY = 2304 + 8192 + 1600 + 32
SETUP = 10 + 8 + 1  # a descriptor's words, the memory's latency, the start
FILL, RESULT_FILL, MAXIMUM_FILL = 14 + 7 + 2, 14 + 4 + 1, 14 + 1 + 2  # to the operands, to the result, to the memory
LENET_CYCLES = LENET_BUSY + 1152 + 256 + 6 * SETUP + 3 * FILL + RESULT_FILL + 2 * MAXIMUM_FILL


def test_cycles_and_clock_are_the_schedules_and_the_datapaths(fixed8: Cost):
    assert (fixed8.cycles, fixed8.clock_mhz) == (LENET_CYCLES, 250)


def test_utilization_is_needed_products_over_possible_ones(fixed8: Cost):
    assert fixed8.utilization == pytest.approx((288_000 + 1_600_000 + 400_000 + 5_000) / (fixed8.cycles * 256))


def test_memory_is_parameters_and_the_largest_activations(fixed8: Cost):
    assert fixed8.parameters_kib == pytest.approx((430_500 * 1 + 580 * 4) / 1024)
    assert fixed8.activations_kib == pytest.approx((11_520 + 2_880) / 1024)
    assert fixed8.memory_kib == fixed8.parameters_kib + fixed8.activations_kib


def test_weights_and_inputs_have_their_own_widths():
    mixed = cost(LENET, "pow2-6/fixed16", technology=TABLE)
    assert mixed.parameters_kib == pytest.approx((430_500 * 6 + 580 * 40) / 8 / 1024)
    assert mixed.activations_kib == pytest.approx(14_400 * 2 / 1024)


def test_area_is_sixteen_neurons_and_the_buffers(fixed8: Cost):
    area = fixed8.breakdown.area_mm2
    assert [area[name] for name in LOGIC_COMPONENTS] == pytest.approx([0.016] * 4)
    widths = {"bin": 16 * 8, "sb": 256 * 8, "bout": 16 * 8}
    for name, width in widths.items():
        assert area[name] == pytest.approx(sram.compose(64, width, TABLE.macros, 2).area_um2 / 1e6)
    assert fixed8.area_mm2 == pytest.approx(sum(area.values()))


def test_the_control_works_in_every_cycle_and_takes_what_its_kind_of_layer_does():
    table = dataclasses.replace(TABLE, datapaths={"fixed8": datapath("fixed8", control=CONTROL)})
    without, made = cost(LENET, "fixed8", technology=TABLE), cost(LENET, "fixed8", technology=table)
    pooling = sum(layer.cycles for layer in made.breakdown.layers if layer.kind not in ("convolution", "linear"))
    assert 0 < pooling < LENET_CYCLES
    assert made.area_mm2 - without.area_mm2 == pytest.approx(0.005)
    assert made.breakdown.dynamic_uj["control"] == pytest.approx((pooling * 20 + (LENET_CYCLES - pooling) * 30) / 1e6)
    assert made.breakdown.leakage_uj["control"] == pytest.approx(0.25 * LENET_CYCLES / 250 / 1e6)
    assert without.breakdown.dynamic_uj["control"] == 0


def test_a_slow_control_slows_the_accelerator():
    slow = dataclasses.replace(CONTROL, clock_mhz=100.0)
    table = dataclasses.replace(TABLE, datapaths={"fixed8": datapath("fixed8", control=slow)})
    assert cost(LENET, "fixed8", technology=table).clock_mhz == 100


def test_logic_switches_in_busy_cycles_and_registers_in_all(fixed8: Cost):
    dynamic = fixed8.breakdown.dynamic_uj
    assert dynamic["multipliers"] == pytest.approx(LENET_BUSY * 16 * 8 / 1e6)
    assert dynamic["registers"] == pytest.approx(LENET_CYCLES * 16 * 2 / 1e6)


def test_buffers_switch_at_each_access(fixed8: Cost):
    buffer = sram.compose(64, 256 * 8, TABLE.macros, 2)
    writes = 4 + 128 + 1600 + 32
    expected = LENET_BUSY * buffer.read_energy_pj + writes * buffer.write_energy_pj
    assert fixed8.breakdown.dynamic_uj["sb"] == pytest.approx(expected / 1e6)


def test_leakage_is_power_times_time(fixed8: Cost):
    assert fixed8.breakdown.leakage_uj["rest"] == pytest.approx(16 * 0.5 * LENET_CYCLES / 250 / 1e6)


def test_energy_is_the_sum_of_its_parts(fixed8: Cost):
    parts = fixed8.breakdown.energy_uj
    assert tuple(parts) == PARTS
    assert fixed8.energy_uj == pytest.approx(sum(parts.values()))


def test_energy_is_the_sum_of_the_layers(fixed8: Cost):
    assert fixed8.energy_uj == pytest.approx(sum(layer.energy_uj for layer in fixed8.breakdown.layers))
    assert fixed8.cycles == sum(layer.cycles for layer in fixed8.breakdown.layers)
    assert fixed8.traffic_kib == pytest.approx(sum(layer.traffic_bits for layer in fixed8.breakdown.layers) / 8192)


def test_power_is_energy_over_time(fixed8: Cost):
    assert fixed8.time_us == pytest.approx(LENET_CYCLES / 250)
    assert fixed8.power_mw == pytest.approx(fixed8.energy_uj / fixed8.time_us * 1e3)


def test_slower_datapath_sets_the_clock():
    assert cost(LENET, "float32", technology=TABLE).clock_mhz == 100


def test_slower_accelerator_sets_the_clock():
    assert cost(LENET, "fixed8", technology=TABLE, accelerator=Accelerator(clock_mhz=50)).clock_mhz == 50


def test_interleaving_stalls_what_has_too_few_outputs():
    assert cost(LENET, "float32", technology=TABLE).cycles > LENET_CYCLES


@pytest.mark.parametrize("network", ["lenet", build("lenet")])
def test_name_module_and_workload_cost_the_same(network: str | nn.Module, fixed8: Cost):
    assert cost(network, "fixed8", technology=TABLE, input_shape=(1, 28, 28)) == fixed8


def test_input_shape_of_a_built_in_model_is_known(fixed8: Cost):
    assert cost("lenet", "fixed8", technology=TABLE) == fixed8


def test_widened_model_costs_more(fixed8: Cost):
    assert cost("lenet*2", "fixed8", technology=TABLE).cycles > fixed8.cycles


def test_users_module_says_its_input_shape():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    model.input_shape = (1, 4, 4)
    assert cost(model, "fixed8", technology=TABLE).cycles == SETUP + 1 + RESULT_FILL


def test_users_file_is_costed(tmp_path: Path):
    (tmp_path / "net.py").write_text("from torch import nn\n\ndef net():\n    return nn.Linear(16, 4)\n")
    assert (
        cost(f"{tmp_path / 'net.py'}:net", "fixed8", technology=TABLE, input_shape=(16,)).cycles
        == SETUP + 1 + RESULT_FILL
    )


@pytest.mark.parametrize("network", [nn.Linear(4, 2), "fewbits.models.networks:lenet"])
def test_unknown_input_shape_is_asked_for(network: nn.Module | str):
    with pytest.raises(ModelError, match=r"input shape of .* is not known: give input_shape, such as \(1, 28, 28\)"):
        cost(network, "fixed8", technology=TABLE)


def test_precision_is_asked_for():
    with pytest.raises(HardwareError, match="give one, such as"):
        cost(LENET, technology=TABLE)


def test_unknown_precision_is_refused():
    with pytest.raises(FormatError):
        cost(LENET, "fixed99", technology=TABLE)


def test_precision_that_is_not_characterized_names_those_that_are():
    with pytest.raises(
        HardwareError, match=r"no precision 'fixed5', only fixed8, .*fewbits characterize --precision fixed5"
    ):
        cost(LENET, "fixed5", technology=TABLE)


def test_a_table_of_one_size_grows_as_the_shipped_one_and_says_so():
    found = cost(LENET, "fixed8", technology=TABLE, accelerator=Accelerator(synapses=8))
    assert "the datapath of fixed8 8 synapses is estimated from that of fixed8, as that of fixed8 grows in" in str(
        found.notes
    )


def test_buffers_need_two_ports():
    one_port = dataclasses.replace(TABLE, macros=(dataclasses.replace(MACRO, ports=1),))
    with pytest.raises(HardwareError, match="no SRAM macro has 2 ports"):
        cost(LENET, "fixed8", technology=one_port)


def test_quantized_model_costs_what_its_precision_does(fixed8: Cost):
    quantize = pytest.importorskip("fewbits.quantization").quantize
    assert cost(quantize(build("lenet"), "fixed8"), technology=TABLE, input_shape=(1, 28, 28)) == fixed8


def test_shipped_table_costs_every_precision_of_the_study():
    from fewbits.formats import STUDY_PRECISIONS

    for precision in STUDY_PRECISIONS:
        found = cost(LENET, precision)
        values = torch.tensor([found.memory_kib, found.area_mm2, found.power_mw, found.energy_uj])
        assert torch.isfinite(values).all()
        assert (values > 0).all()


def test_shipped_table_is_the_default():
    assert cost(LENET, "fixed8") == cost(LENET, "fixed8", technology=load_technology())
