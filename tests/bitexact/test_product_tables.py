"""Layers that compute with product tables: exact tables change nothing, others equal sums of Python integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import Case, lowered, networks
from test_bitexact_graphs import STEPS, Graph
from torch import Tensor, nn

import fewbits as fb
from fewbits import ModelError
from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.reference import reference_values
from fewbits.bitexact.soundness import check_network
from fewbits.formats import LayerProducts, ProductTable, parse_format, parse_precision
from fewbits.formats.approximations import approximation

RANDOM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

NARROW = (
    *("fixed8", "fixed4", "fixed2", "fixed3/fixed7", "fixed8/fixed4", "ternary", "ternary/fixed8", "fixed4/ternary"),
    *("binary", "binary/fixed8", "fixed8/binary", "binary/ternary", "pow2-2/fixed8", "pow2-5/fixed4", "pow2-6/fixed8"),
    *("fixed8/pow2-4", "pow2-4", "pow2-3/binary", "ternary/pow2-5", "fixed5", "fixed6/fixed3", "pow2-4/ternary"),
)
"""Families of integers of up to 8 bits that tables are made of, alone and together."""

TWOS_COMPLEMENT = ("fixed8", "fixed4", "fixed3/fixed7", "ternary/fixed8", "fixed2", "ternary", "fixed8/fixed4")


def small_network(precision: str = "fixed8", *, seed: int = 0, per_channel: bool = False) -> tuple[Case, nn.Module]:
    """A grouped convolution with padding, one with stride and dilation, and a linear layer."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 3, 2, stride=2, dilation=2), nn.Flatten(),
        nn.Linear(27, 3),
    )  # fmt: skip
    images = torch.randn(2, 2, 8, 8)
    return Case(fb.calibrate(fb.quantize(model, precision, per_channel=per_channel), images), images), model


def dropped(precision: str) -> ProductTable:
    """Products that are not computed."""
    formats = parse_precision(precision)
    return ProductTable.of("dropped", formats.weights, formats.inputs, lambda w, x: 0)


def exact_tables(network: BitExactNetwork) -> BitExactNetwork:
    return network.with_products(
        {
            layer.name: ProductTable.exact(layer.weight_format, layer.input_format)
            for layer in network.layers
            if not layer.scale_bits
        }
    )


def assert_same(network: BitExactNetwork, other: BitExactNetwork, images: Tensor) -> None:
    assert torch.equal(network.run(images), other.run(images))
    found, expected = other.trace(images), network.trace(images)
    for name, values in expected.items():
        assert torch.equal(torch.as_tensor(values), torch.as_tensor(found[name])), name
    for layer, same in zip(network.layers, other.layers, strict=True):
        assert layer.accumulator_bits == same.accumulator_bits
        assert layer.worst_case_accumulator_bits == same.worst_case_accumulator_bits


def assert_equals_reference(network: BitExactNetwork, images: Tensor) -> None:
    """Fast stages and operations one by one are what loops over Python integers give."""
    trace, logits = network.trace(images), network.accumulators(images)
    for index, image in enumerate(images):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object))
        for name, values in expected.items():
            assert (np.array(trace[name][index].tolist(), dtype=object) == values).all(), name
        last = expected[network.operations[-1].name]
        assert (np.array(logits[index].tolist(), dtype=object) == last).all()


@settings(RANDOM, max_examples=6)
@given(networks(NARROW, mixed=True))
def test_exact_tables_change_no_digit_of_a_chain(case: Case) -> None:
    check_exact_tables_of_a_chain(case)


@pytest.mark.slow
@RANDOM
@given(networks(NARROW, mixed=True))
def test_exact_tables_change_no_digit_of_many_chains(case: Case) -> None:
    check_exact_tables_of_a_chain(case)


def check_exact_tables_of_a_chain(case: Case) -> None:
    network = lowered(case)
    assert_same(network, exact_tables(network), case.images)


GRAPHS = given(STEPS, st.sampled_from(NARROW), st.integers(0, 99), st.booleans())
"""Residual connections, concatenations and pooling; a radix point an output."""


@settings(RANDOM, max_examples=6)
@GRAPHS
def test_exact_tables_change_no_digit_of_a_graph(steps, precision: str, seed: int, per_channel: bool) -> None:
    check_exact_tables_of_a_graph(steps, precision, seed, per_channel=per_channel)


@pytest.mark.slow
@RANDOM
@GRAPHS
def test_exact_tables_change_no_digit_of_many_graphs(steps, precision: str, seed: int, per_channel: bool) -> None:
    check_exact_tables_of_a_graph(steps, precision, seed, per_channel=per_channel)


def check_exact_tables_of_a_graph(steps, precision: str, seed: int, *, per_channel: bool) -> None:
    torch.manual_seed(seed)
    images = torch.randn(2, 2, 5) * 3
    model = fb.calibrate(fb.quantize(Graph(steps), precision, per_channel=per_channel).eval(), images)
    assert_same(fb.lower(model, images), fb.lower(model, images, products="exact"), images)


@settings(RANDOM, max_examples=8)
@given(networks(TWOS_COMPLEMENT), st.sampled_from(["truncated-1", "broken-array-1-1", "perforated-1", "mitchell"]))
def test_approximate_tables_equal_the_reference(case: Case, name: str) -> None:
    network = lowered(case)
    assert_equals_reference(network.with_products({layer.name: name for layer in network.layers}), case.images)


@settings(RANDOM, max_examples=8)
@given(networks(NARROW, mixed=True), st.integers(0, 99))
def test_any_tables_equal_the_reference(case: Case, seed: int) -> None:
    """Random contents, and random tables for each synapse: what defects make of multipliers."""
    network, draw = lowered(case), np.random.default_rng(seed)
    products: dict[str, LayerProducts] = {}
    for layer in network.layers:
        formats, shape = (layer.weight_format, layer.input_format), (len(layer.weight), layer.synapses)
        tables = tuple(
            ProductTable("random", *formats, draw.integers(-(2**15), 2**15, [2**one.bits for one in formats]))
            for _ in range(3)
        )
        products[layer.name] = LayerProducts(tables, draw.integers(0, 3, shape))
    assert_equals_reference(network.with_products(products), case.images)


@pytest.mark.parametrize("products", [2**20, pytest.param(2**31 - 1, marks=pytest.mark.slow), 2**40])
def test_sums_of_large_products_are_exact(products: int) -> None:
    """Beyond float32, 32 bits and, of an output's own radix point, float64."""
    case, _ = small_network("fixed4", per_channel=True)
    table = ProductTable.of(
        "large", parse_format("fixed4"), parse_format("fixed4"), lambda w, x: w * x * products // 64
    )
    assert_equals_reference(fb.lower(case.model, case.images, products=table), case.images)


def test_many_positions_and_few_give_the_same_sums() -> None:
    """Images are computed sixteen outputs at a time or one by one, as many as there are."""
    torch.manual_seed(0)
    images = torch.randn(300, 1, 12, 12)
    model = nn.Sequential(nn.Conv2d(1, 27, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2700, 21))
    network = fb.lower(fb.calibrate(fb.quantize(model, "fixed8"), images[:20]), images, products="mitchell")
    one_by_one = torch.cat([network.run(image[None]) for image in images[:5]])
    assert torch.equal(network.run(images)[:5], one_by_one)


def test_padding_goes_through_the_table() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    images = torch.zeros(1, 1, 3, 3)
    quantized = fb.calibrate(fb.quantize(model, "fixed4"), images + 1)
    formats = parse_precision("fixed4")
    one = ProductTable.of("one", formats.weights, formats.inputs, lambda w, x: int(x == 0))
    accumulators = fb.lower(quantized, images, products=one).accumulators(images)
    assert accumulators.tolist() == [[[[9] * 3] * 3]]


def test_a_channel_of_a_radix_point_of_its_own_moves_what_the_table_gives() -> None:
    case, _ = small_network(per_channel=True)
    assert_equals_reference(fb.lower(case.model, case.images, products="truncated-5"), case.images)


def test_accumulators_are_as_wide_as_the_tables_need() -> None:
    case, _ = small_network()
    exact = fb.lower(case.model, case.images)
    zeros = fb.lower(case.model, case.images, products=dropped("fixed8"))
    assert all(a.accumulator_bits > b.accumulator_bits for a, b in zip(exact.layers, zeros.layers, strict=True))


def test_a_table_by_output_is_that_of_the_output_alone() -> None:
    case, _ = small_network()
    network = fb.lower(case.model, case.images)
    last, formats = network.layers[-1], parse_precision("fixed8")
    tables = [approximation(name, formats.weights, formats.inputs) for name in ("exact", "truncated-8")]
    chosen = network.with_products({last.name: LayerProducts.by_output(tables, [0, 1, 0], last.synapses)})
    truncated = network.with_products({last.name: "truncated-8"})
    found, expected = chosen.accumulators(case.images), network.accumulators(case.images)
    assert torch.equal(found[:, [0, 2]], expected[:, [0, 2]])
    assert torch.equal(found[:, 1], truncated.accumulators(case.images)[:, 1])


def test_other_layers_keep_their_products() -> None:
    case, _ = small_network()
    network = fb.lower(case.model, case.images, products="truncated-6").with_products({"4": None})
    assert [layer.products is None for layer in network.layers] == [False, False, True]


def test_saved_networks_keep_their_tables(tmp_path) -> None:
    case, _ = small_network("fixed4")
    network = fb.lower(case.model, case.images, products={"0": "truncated-2", "4": "mitchell"})
    network.save(tmp_path / "network.safetensors")
    loaded = fb.load(tmp_path / "network.safetensors")
    assert torch.equal(loaded.run(case.images), network.run(case.images))
    assert [layer.products for layer in loaded.layers] == [layer.products for layer in network.layers]


def _table(precision: str, name: str = "exact") -> LayerProducts:
    formats = parse_precision(precision)
    return LayerProducts((approximation(name, formats.weights, formats.inputs),))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"products": _table("fixed4")}, "its product tables are of fixed4"),
        ({"products": replace(_table("fixed8"), choice=np.zeros((4, 9), int))}, "is 4 x 9"),
        ({"products": LayerProducts((dropped("fixed8"),))}, "its sums need"),
        ({"products": _table("fixed8"), "dropped_product_bits": 2}, "not both"),
    ],
)
def test_a_file_whose_tables_do_not_fit_is_no_network(changes: dict[str, object], problem: str) -> None:
    case, _ = small_network()
    network = fb.lower(case.model, case.images)
    *others, last = network.operations
    with pytest.raises(ModelError, match=problem):
        check_network((*others, replace(last, **changes)), network.input_shape)


@pytest.mark.parametrize(
    ("products", "problem"),
    [
        ("truncate-6", "layer '0': no approximation 'truncate-6'.*did you mean truncated-COLUMNS"),
        ("truncated-15", "layer '0': truncated-15, .*columns 15: it is 0 to 14"),
        ({"fc": "mitchell"}, "no layer 'fc' to give products to: the network has 0, 2, 4"),
        ({"0": 7}, "layer '0': products are an approximation's name, a ProductTable or LayerProducts, not int"),
        (_table("fixed4"), "layer '0' has fixed8 weights .*tables are of fixed4"),
        ({"4": replace(_table("fixed8"), choice=np.zeros((3, 26), int))}, "layer '4' has 3 outputs of 27 synapses"),
    ],
)
def test_products_that_do_not_fit_are_refused_in_one_line(products: object, problem: str) -> None:
    case, _ = small_network()
    with pytest.raises(ModelError, match=problem) as raised:
        fb.lower(case.model, case.images, products=products)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("precision", "problem"),
    [
        ("fixed16", "of an integer format of at most 8 bits, not fixed16"),
        ("float32", "not float32"),
        ("pow2-8/fixed8", "a table holds at most"),
    ],
)
def test_formats_without_tables_are_refused_by_layer(precision: str, problem: str) -> None:
    case, _ = small_network(precision)
    with pytest.raises(ModelError, match=f"layer '0': .*{problem}"):
        fb.lower(case.model, case.images, products="exact")


def test_sums_beyond_62_bits_are_refused() -> None:
    case, _ = small_network("fixed4")
    formats = parse_precision("fixed4")
    values = np.full((16, 16), 2**61)
    with pytest.raises(ModelError, match=r"layer '0': sums of its products need .* bits, 62 are computed"):
        fb.lower(case.model, case.images, products=ProductTable("huge", formats.weights, formats.inputs, values))


def test_cut_products_take_no_tables() -> None:
    case, _ = small_network()
    with pytest.raises(ModelError, match="give product_bits or products, not both"):
        fb.lower(case.model, case.images, product_bits=10, products="mitchell")


def test_operations_one_by_one_give_what_fast_stages_give() -> None:
    case, _ = small_network()
    network = fb.lower(case.model, case.images, products="truncated-7")
    values = IntegerExecutor(network.operations).logits(case.images)
    assert torch.equal(torch.as_tensor(values).to(torch.int64), network.accumulators(case.images))
