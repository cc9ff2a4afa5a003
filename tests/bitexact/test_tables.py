"""Every operation has its entry in every table, or a refusal that says what to do."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import FLOAT_PRECISIONS, INTEGER_PRECISIONS, Case, lowered, networks

import fewbits
import fewbits as fb
from fewbits.bitexact import Layer, Operation, Pooling, tables
from fewbits.bitexact.floating import FloatExecutor
from fewbits.bitexact.fused import FusedExecutor
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.network import exact_values
from fewbits.bitexact.reference import reference_values
from fewbits.bitexact.soundness import RULES
from fewbits.bitexact.sum_order import SumOrder
from fewbits.bitexact.tables import Table
from fewbits.errors import HardwareError, ModelError

SHARED = {Operation, Layer, Pooling}
"""What no network holds: what operations have in common."""


def concrete(operation: type[Operation]) -> Iterator[type[Operation]]:
    """The classes derived from one that a network of fewbits may hold."""
    for derived in operation.__subclasses__():
        if derived.__module__.startswith("fewbits.") and derived not in SHARED:
            yield derived
        yield from concrete(derived)


def all_tables() -> list[Table[object]]:
    """All tables of the package."""
    for module in pkgutil.walk_packages(fewbits.__path__, "fewbits."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {
        id(value): value
        for name, module in sorted(sys.modules.items())
        if name.startswith("fewbits.")
        for value in vars(module).values()
        if isinstance(value, Table)
    }
    return sorted(found.values(), key=lambda table: table.name)


def empty_cells(table: Table[object], operations: Iterable[type[Operation]]) -> list[str]:
    """Names of the classes that a table says nothing of."""
    return [each.__name__ for each in operations if each not in table and table.refusal(each) is None]


@pytest.fixture(scope="module")
def found() -> list[Table[object]]:
    return all_tables()


def test_all_tables_are_found(found: list[Table[object]]) -> None:
    names = {table.name for table in found}
    assert names == {
        *("integer executor", "fused executor", "float executor", "reference", "proof of lowering"),
        *("workload", "compiler of the accelerator"),
    }


def test_every_cell_is_filled_or_refused(found: list[Table[object]]) -> None:
    operations = list(concrete(Operation))
    assert len(operations) >= 10
    assert {table.name: empty_cells(table, operations) for table in found} == {table.name: [] for table in found}


def test_a_file_s_operations_are_all_checked_for_sense() -> None:
    assert set(RULES) == set(concrete(Operation))


def test_every_refusal_ends_with_what_to_do(found: list[Table[object]]) -> None:
    refused = {(table.name, each.__name__): table.refusal(each) for table in found for each in concrete(Operation)}
    sentences = {cell: sentence for cell, sentence in refused.items() if sentence is not None}
    assert sentences
    for cell, sentence in sentences.items():
        why, _, remedy = sentence.rpartition(": ")
        assert why.startswith(("is ", "has ")), cell
        assert remedy.split()[0] in {"give", "take", "leave", "use", "quantize"}, cell


def test_a_class_without_entries_is_named_for_every_table(found: list[Table[object]]) -> None:
    class Gelu(Operation):
        pass

    assert all(empty_cells(table, [Gelu]) == ["Gelu"] for table in found)


class Curve(Operation):
    """An operation that no table knows."""


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (tables.INTEGER, "integer executor"),
        (tables.FUSED, "fused executor"),
        (tables.FLOAT, "float executor"),
        (tables.REFERENCE, "reference"),
        (tables.UNROUNDED, "proof of lowering"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_entry_is_told_with_operation_table_and_remedy(table: Table[object], name: str) -> None:
    with pytest.raises(ModelError, match=rf"^operation 'x' \(Curve\) has no entry in the {name}: register a.*Curve"):
        table.of(Curve(name="x", inputs=("images",), output_shape=(1,)))


def test_what_is_derived_from_a_class_with_an_entry_needs_its_own() -> None:
    class LeakyReLU(fb.bitexact.ReLU):
        pass

    with pytest.raises(ModelError, match="has no entry in the integer executor"):
        tables.INTEGER.of(LeakyReLU(name="x", inputs=("images",), output_shape=(1,)))


def test_an_entry_is_not_replaced() -> None:
    with pytest.raises(ModelError, match=r"the integer executor decides on ReLU \(fewbits.graph.operations\) already"):
        tables.INTEGER.register(fb.bitexact.ReLU)(lambda operation: lambda source: source)


def test_a_refusal_is_the_error_of_its_table() -> None:
    table = Table[int]("power meter", "a number", HardwareError)
    table.refuse(Curve, "is not measured: give a network without curves")
    with pytest.raises(
        HardwareError, match=r"^operation 'x' \(Curve\) is not measured: give a network without curves$"
    ):
        table.of(Curve(name="x", inputs=("images",), output_shape=(1,)))


def test_a_registered_class_is_executed() -> None:
    class Double(Operation):
        pass

    table = tables.INTEGER
    table.register(Double)(lambda operation: lambda source: source * 2)
    quantized = fb.quantize(torch.nn.Sequential(torch.nn.Linear(3, 2)), "fixed8")
    images = torch.rand(4, 3)
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images)
    last = network.operations[-1]
    doubled = (*network.operations, Double(name="double", inputs=(last.name,), output_shape=(2,)))
    values = IntegerExecutor(doubled).values(images)
    assert torch.equal(exact_values(values["double"]), 2 * exact_values(values[last.name]))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(INTEGER_PRECISIONS))
def test_integer_and_fused_executors_equal_the_reference(case: Case) -> None:
    network = lowered(case)
    name = network.operations[-1].name
    expected = [
        reference_values(network.operations, np.array(image.tolist(), dtype=object))[name] for image in case.images
    ]
    for executor in (IntegerExecutor, FusedExecutor):
        logits = exact_values(executor(network.operations).logits(case.images))
        assert np.array(logits.tolist(), dtype=object).tolist() == [each.tolist() for each in expected]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(FLOAT_PRECISIONS), st.sampled_from((1, 2, 8, 16, 32)))
def test_the_float_executor_equals_the_reference_in_every_order(case: Case, products: int) -> None:
    order = SumOrder(products)
    network = lowered(case, order)
    name = network.operations[-1].name
    logits = FloatExecutor(network.operations, order).logits(case.images)
    assert torch.equal(logits, network.trace(case.images)[name])
    for image, found in zip(case.images, logits, strict=True):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object), order)[name]
        assert np.array_equal(found.numpy(), expected.astype(np.float32))


def test_the_order_of_float_sums_changes_the_last_bits() -> None:
    torch.manual_seed(0)
    quantized = fb.quantize(torch.nn.Sequential(torch.nn.Linear(300, 20)), "float32")
    images = torch.randn(8, 300)
    fb.calibrate(quantized, images)
    logits = [fb.lower(quantized, images, sum_order=SumOrder(n)).run(images) for n in (1, 16)]
    assert not torch.equal(*logits)
    assert torch.allclose(*logits, atol=1e-5)


@pytest.mark.parametrize("products", [0, 3, -16, 2**17, 16.0, True])
def test_a_tree_of_no_power_of_two_is_refused(products: object) -> None:
    with pytest.raises(ModelError, match="a sum order takes a power of two from 1 to 65536 of products a tree, not"):
        SumOrder(products)  # pyright: ignore[reportArgumentType]
