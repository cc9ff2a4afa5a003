"""Claims about torch.ops.fewbits: each operator passes torch's own checks and equals what eager layers compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from fewbits import FormatError, parse_format
from fewbits.formats import Scale
from fewbits.formats.operators import round_bias, round_tensor
from fewbits.quantization.layers.straight_through import StraightThrough
from fewbits.quantization.methods import operators

FORMATS = ("fixed8", "fixed4", "fixed32", "pow2-6", "ternary", "binary", "fp8-e4m3", "float-e2m1", "float16")
POINT, SHIFTS = torch.tensor(3), torch.tensor([0, 2, 1])


def drawn(*shape: int, wants_gradient: bool = True) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_(wants_gradient)


def cases() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Name to an operator and its arguments; every operator of fewbits at least once."""
    ops = torch.ops.fewbits
    x, limits = drawn(3, 4, 5), (torch.tensor(-1.0), torch.tensor(1.0), torch.tensor(0.5, dtype=torch.float64))
    found: dict[str, tuple[Any, tuple[Any, ...]]] = {
        f"round {name}": (ops.round, (x, POINT, None, name, False)) for name in FORMATS
    }
    return found | {
        "round, rectified": (ops.round, (x, POINT, None, "fixed8", True)),
        "round, channels": (ops.round, (x, POINT, SHIFTS, "fixed8", False)),
        "round, strided": (ops.round, (drawn(6, 4).t()[::2], POINT, None, "fixed8", False)),
        "round, channels last": (
            ops.round,
            (drawn(2, 3, 4, 4).to(memory_format=torch.channels_last), POINT, None, "fixed8", False),
        ),
        "round, float64": (ops.round, (drawn(3).double(), POINT, None, "pow2-6", False)),
        "round, empty": (ops.round, (drawn(0, 3), POINT, None, "fixed8", False)),
        "round_blocks": (ops.round_blocks, (drawn(3, 32), POINT, "mxfp4", False, 1, 1)),
        "round_bias": (ops.round_bias, (drawn(3), POINT, None)),
        "round_bias, channels": (ops.round_bias, (drawn(3), POINT, SHIFTS)),
        "limits": (ops.limits, (POINT, "fixed8")),
        "learned_step": (ops.learned_step, (x, drawn(), x.detach().round(), *limits)),
        "learned_clip": (ops.learned_clip, (x, drawn(), x.detach().round(), *limits)),
        "multipliers": (ops.multipliers, (drawn(3, 1, 1, wants_gradient=False).abs() + 0.1, 8)),
        "largest_unsaturated": (ops.largest_unsaturated, (x, "pow2-4")),
        "add_gradient": (ops.add_gradient, (x, drawn(3, 4, 5))),
    }


@pytest.mark.parametrize("name", cases())
def test_operators_pass_torchs_checks(name: str) -> None:
    operator, arguments = cases()[name]
    assert set(opcheck(operator, arguments).values()) == {"SUCCESS"}


def test_all_operators_are_checked() -> None:
    schemas = torch._C._jit_get_all_schemas()
    defined = {schema.name.removeprefix("fewbits::") for schema in schemas if schema.name.startswith("fewbits::")}
    assert {name.partition(",")[0].partition(" ")[0] for name in cases()} == defined


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=10, deadline=None)
@given(point=st.integers(-20, 20), seed=st.integers(0, 99))
def test_values_and_gradients_are_those_of_the_eager_estimator(
    name: str, rectified: bool, point: int, seed: int
) -> None:
    number_format = parse_format(name)
    low, high = number_format.limits(point)
    torch.manual_seed(seed)
    values = torch.cat([torch.randn(40) * 2.0**-point * 4, torch.tensor([low, high, 0.0, -0.0])])
    upstream = torch.randn(44)
    results = []
    for compute in (
        lambda x: StraightThrough.apply(x, number_format, point, rectified),
        lambda x: round_tensor(x, torch.tensor(point), None, name, rectified),
    ):
        x = values.clone().requires_grad_()
        y = compute(x)
        y.backward(upstream.clone())
        results.append((y.detach().view(torch.int32), x.grad))
    (eager, eager_gradient), (operator, gradient) = results
    assert torch.equal(eager, operator)
    assert torch.equal(eager_gradient, gradient)


def test_channels_of_their_own_radix_points_round_as_their_scale_says() -> None:
    x = drawn(3, 20, wants_gradient=False)
    rounded = round_tensor(x, POINT, SHIFTS, "fixed4", False)
    assert torch.equal(rounded, parse_format("fixed4").quantize(x, Scale.of_channels((3, 5, 4))))


def test_gradients_can_be_differentiated_once_more() -> None:
    x = drawn(5)
    (gradient,) = torch.autograd.grad(round_tensor(x, POINT, None, "fixed8", False).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    assert torch.equal(second, 6 * round_tensor(x.detach(), POINT, None, "fixed8", False))


def test_forward_mode_gives_the_estimators_slope() -> None:
    x = torch.tensor([-100.0, 0.3, 100.0])
    _, slope = torch.func.jvp(lambda t: parse_format("fixed8").quantize(t, 3), (x,), (torch.ones(3),))
    assert torch.equal(slope, torch.zeros(3))  # `Format.quantize` lets no gradient through
    _, slope = torch.func.jvp(lambda t: round_tensor(t, POINT, None, "fixed8", False), (x,), (torch.ones(3),))
    assert torch.equal(slope, torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("dims", [(0, None, None), (0, 0, None), (0, 0, 0), (1, None, None)])
def test_vmap_rounds_each_entry_by_its_own_radix_point(dims: tuple[int | None, ...]) -> None:
    x = drawn(3, 3, wants_gradient=False)
    points = torch.tensor([1, 2, 3]) if dims[1] == 0 else POINT
    shifts = torch.tensor([[0, 1, 2], [1, 0, 2], [3, 0, 1]]) if dims[2] == 0 else None
    rounded = torch.func.vmap(lambda *each: round_tensor(*each, "fixed4", False), in_dims=dims)(x, points, shifts)
    for index in range(3):
        entry = x.select(dims[0] or 0, index)
        point = points if dims[1] is None else points[index]
        assert torch.equal(
            rounded[index], round_tensor(entry, point, None if shifts is None else shifts[index], "fixed4", False)
        )


@pytest.mark.parametrize("shifts", [None, SHIFTS])
def test_a_bias_is_rounded_half_to_even_with_the_identity_as_gradient(shifts: Tensor | None) -> None:
    bias = torch.tensor([0.5, 1.5, -0.75], requires_grad=True)
    rounded = round_bias(bias, torch.tensor(0), shifts)
    assert rounded.tolist() == ([0.0, 2.0, -1.0] if shifts is None else [0.0, 1.5, -1.0])
    rounded.backward(torch.tensor([1.0, 2.0, 3.0]))
    assert bias.grad is not None
    assert bias.grad.tolist() == [1.0, 2.0, 3.0]


def test_nan_is_refused_where_an_operator_runs() -> None:
    with pytest.raises(FormatError, match="1 of the tensor's 2 elements are NaN"):
        torch.ops.fewbits.round(torch.tensor([1.0, float("nan")]), POINT, None, "fixed8", False)


def test_a_radix_point_that_was_not_chosen_is_refused_where_an_operator_runs() -> None:
    with pytest.raises(FormatError, match="calibrate"):
        torch.ops.fewbits.round(torch.ones(2), torch.tensor(torch.iinfo(torch.int64).min), None, "fixed8", False)


def test_multipliers_are_those_of_the_scale() -> None:
    from fewbits.formats import Multipliers

    wanted = torch.tensor([0.3, 0.011, 2.7])
    values, point = operators.multipliers(wanted, 8)
    nearest = Multipliers.nearest(wanted, 8)
    assert point.item() == nearest.fraction_bits
    assert torch.equal(values, Scale("channel", nearest).multiplier_values(wanted))


def test_formats_round_in_functions_that_torch_compiles() -> None:
    number_format = parse_format("fixed8")
    compiled = torch.compile(lambda x: number_format.quantize(x, 3) * 2, fullgraph=True, backend="aot_eager")
    x = drawn(9, wants_gradient=False)
    assert torch.equal(compiled(x), number_format.quantize(x, 3) * 2)
