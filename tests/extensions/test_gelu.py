"""A kind of operation from outside: GELU, correctly rounded, from `quantize` to the compiler's refusal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.bitexact.executors import choose_executor
from fewbits.bitexact.fused import FusedExecutor
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.reference import reference_values
from fewbits.errors import FewbitsError, ModelError
from fewbits.formats import parse_format
from fewbits.graph.kind import Codes
from fewbits.graph.refusals import UnsupportedError

pytestmark = pytest.mark.usefixtures("examples")


@pytest.fixture
def gelu(examples: object) -> Iterator[Any]:
    """The extension's module, as the catalogue loads it."""
    from fewbits.graph.catalogue import catalogue

    assert "gelu" in catalogue().kinds
    import fewbits_examples.gelu as module

    return module


class Curved(nn.Module):
    """Both spellings, both curves, a residual behind one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act, self.last = nn.GELU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        x = x + F.gelu(self.second(x), approximate="tanh")
        return self.last(F.max_pool2d(x, 4).flatten(1))


def lowered(precision: str) -> tuple[Any, Tensor]:
    images = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    quantized = fb.quantize(Curved(), precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images), images


@pytest.mark.parametrize("precision", ["fixed8", "pow2-6/fixed8", "fixed4", "ternary/fixed6"])
def test_all_executors_agree_with_the_reference(gelu: Any, precision: str) -> None:
    network, images = lowered(precision)
    fast = FusedExecutor(network.operations).logits(images[:2])
    values = IntegerExecutor(network.operations).values(images[:2])
    assert isinstance(choose_executor(network.operations, images.device, network.sum_order), FusedExecutor)
    assert torch.equal(fast.to(torch.float64), values[network.operations[-1].name].to(torch.float64))
    for number in range(2):
        exact = reference_values(network.operations, images[number].numpy().astype(object))
        for operation in network.operations:
            expected = torch.tensor(exact[operation.name].astype(float))
            assert torch.equal(expected, values[operation.name][number].to(torch.float64)), operation.name


def test_the_bit_exact_network_gives_what_the_quantized_one_gives(gelu: Any) -> None:
    images = torch.randn(16, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    quantized = fb.quantize(Curved(), "fixed8").eval()
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images)
    assert quantized.skipped == ()
    with torch.no_grad():
        assert torch.allclose(network.run(images).float(), quantized(images), atol=1e-5)


def test_a_result_has_a_radix_point_of_its_own_by_calibration(gelu: Any) -> None:
    """Inputs from -6 to 0 need three digits left of the point, results from -0.17 to 0 none."""
    model = nn.Sequential(nn.Linear(1, 1), nn.GELU(), nn.Linear(1, 2))
    nn.init.constant_(model[0].weight, 1.0)
    nn.init.zeros_(model[0].bias)
    images = torch.linspace(-6, 0, 50).unsqueeze(1)
    quantized = fb.quantize(model, "fixed8")
    fb.calibrate(quantized, images)
    table = next(one for one in fb.lower(quantized, images).operations if isinstance(one, gelu.GeluTable))
    assert (table.inputs_codes.fraction_bits, table.result_codes.fraction_bits) == (4, 9)


def float64_oracle(curve: str, x: float, scale: float) -> Fraction:
    """GELU times a scale by the C library's functions: within 1e-12 of the true value's size."""
    if curve == "none":
        return Fraction(x * 0.5 * math.erfc(-x / math.sqrt(2)) * scale)
    return Fraction(x * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) * scale)


@settings(max_examples=60, deadline=None)
@given(
    curve=st.sampled_from(["none", "tanh"]),
    names=st.tuples(*[st.sampled_from(["fixed8", "fixed4", "pow2-5", "ternary", "binary", "fixed16"])] * 2),
    points=st.tuples(st.integers(-2, 12), st.integers(-2, 20)),
    code=st.integers(-128, 127),
)
def test_tables_are_correctly_rounded(curve: str, names: tuple[str, str], points: tuple[int, int], code: int) -> None:
    from fewbits_examples.gelu import nearest

    taken, wanted = (Codes(parse_format(name), point) for name, point in zip(names, points, strict=True))
    integer = taken.number_format.nearest(Fraction(code))
    found = Fraction(nearest(curve, integer, taken, wanted))
    x = float(integer) * 2.0**-taken.fraction_bits
    about = float64_oracle(curve, x, 2.0**wanted.fraction_bits)
    error = abs(about) * Fraction(1e-12) + Fraction(2.0**wanted.fraction_bits) * Fraction(1e-13) * (
        1 + abs(Fraction(x))
    )
    assert wanted.number_format.nearest(about - error) <= found <= wanted.number_format.nearest(about + error)


@pytest.mark.parametrize("curve", ["none", "tanh"])
def test_a_result_just_below_a_tie_is_rounded_down(gelu: Any, curve: str) -> None:
    """GELU(63.5) lies less than 1e-300 below 63.5, which rounds to the even 64; float64 cannot tell."""
    taken, wanted = Codes(parse_format("fixed8"), 1), Codes(parse_format("fixed8"), 0)
    assert F.gelu(torch.tensor(63.5, dtype=torch.float64), approximate=curve).round() == 64
    assert gelu.nearest(curve, Fraction(127), taken, wanted) == 63
    assert gelu.nearest(curve, Fraction(-127), taken, wanted) == 0


def test_an_enclosure_holds_the_value_to_its_digits(gelu: Any) -> None:
    """GELU(1) = Phi(1), here to 30 digits (Abramowitz and Stegun, table 26.1: .84134 47460 68543)."""
    low, high = gelu.enclosure("none", Fraction(1), 30)
    assert high - low < Fraction(1, 10**29)
    assert abs(low - Fraction(841344746068543, 10**15)) < Fraction(1, 10**15)


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("fixed16", "its input is fixed16, and its table is made for up to 8 bits"),
        ("float-e4m3", "float-e4m3 is no format of integers"),
    ],
)
def test_wider_inputs_and_floats_are_refused_by_name(gelu: Any, precision: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=f"layer 'act' \\(GELU\\) cannot be lowered: {reason}"):
        lowered(precision)


def test_a_result_that_no_layer_takes_is_refused(gelu: Any) -> None:
    model, images = nn.Sequential(nn.Linear(4, 3), nn.GELU()), torch.randn(8, 4)
    quantized = fb.quantize(model, "fixed8")
    fb.calibrate(quantized, images)
    with pytest.raises(ModelError, match=r"layer '1' \(GELU\) cannot be lowered: no layer takes its result"):
        fb.lower(quantized, images)


def test_a_cost_names_what_it_does_not_count(gelu: Any) -> None:
    network, _ = lowered("fixed8")
    sentences = [note for note in fb.cost(network, "fixed8").notes if "GELU" in note]
    assert len(sentences) == 2
    assert "the table of 'act' (GELU)" in sentences[0]
    of_module = fb.cost(Curved(), "fixed8", input_shape=(2, 4, 4)).notes
    assert sum("GELU" in note for note in of_module) == 2


def test_the_compiler_refuses_it_by_name(gelu: Any) -> None:
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.dataflow.diannao.compiler import compile_network
    from fewbits.hardware.datapath.neuron_design import design

    network, _ = lowered("fixed8")
    with pytest.raises(FewbitsError, match=r"'act' \(GeluTable\)"):
        compile_network(network, design("fixed8"), Accelerator())
