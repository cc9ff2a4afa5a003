"""Every format rounds as its scalar reference says, by kernel and by plain torch."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import FormatError, parse_format
from fewbits.formats import FloatFormat, all_format_names, fused
from fewbits.formats.kernels import SERIAL_ELEMENTS, reference

NAMES = [*all_format_names(), "float-e2m1", "float-e3m4", "float-e7m8", "float16:exact"]

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
ties = st.builds(lambda k, e: (k + 0.5) * 2.0**e, st.integers(-300, 300), st.integers(-12, 24))


@pytest.mark.parametrize("name", NAMES)
@given(x=st.one_of(floats, ties), fraction_bits=st.integers(-20, 20))
@settings(max_examples=40, deadline=None)
def test_float64_tensor_equals_the_scalar_reference(name: str, x: float, fraction_bits: int):
    number_format = parse_format(name)
    got = number_format.quantize(torch.tensor([x], dtype=torch.float64), fraction_bits).item()
    assert Fraction(got) == number_format.quantize_scalar(x, fraction_bits)


@pytest.mark.parametrize("name", NAMES)
@given(x=st.lists(st.one_of(floats, ties), min_size=1, max_size=8), fraction_bits=st.integers(-20, 20))
@settings(max_examples=15, deadline=None)
def test_kernel_equals_plain_torch_in_value_and_sign(name: str, x: list[float], fraction_bits: int):
    number_format = parse_format(name)
    tensor = torch.tensor(x, dtype=torch.float32)
    got, expected = number_format.quantize(tensor, fraction_bits), reference(number_format, tensor, fraction_bits)
    assert np.array_equal(got.numpy().view(np.int32), expected.numpy().view(np.int32))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rectified_means_behind_a_relu(name: str, dtype: torch.dtype):
    number_format = parse_format(name)
    x = torch.tensor([-math.inf, -3.0, -0.2, -0.0, 0.0, 0.2, 0.3, 1.5, 300.0, math.inf], dtype=dtype)
    assert torch.equal(number_format.quantize(x, 1, rectified=True), number_format.quantize(x.relu(), 1))


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("fixed8", "fixed"),
        ("fixed32", "fixed_wide"),
        ("binary", "binary"),
        ("pow2-6", "power_of_two"),
        ("fp8-e4m3", "small_float"),
        ("float32", "whole_float"),
    ],
)
def test_machine_code_does_what_its_source_says(name: str, kernel: str):
    described = parse_format(name).fused_pass(0)
    assert described is not None
    assert described.kernel == kernel
    body, pointee, kinds = fused._PASSES[kernel]
    constants = [{"f": np.float32, "i": np.int32}[kind](c) for kind, c in zip(kinds, described.constants, strict=True)]
    x = np.float32([0.0, -0.0, 0.4, -0.6, 1.5, -2.5, 3.0, 5e-3, 1e-40, 1e30, -1e30, np.inf, np.nan, 2**23 + 1])
    interpreted, compiled = np.empty_like(x), np.empty_like(x)
    pointer = ctypes.POINTER({"values": ctypes.c_float, "bits": ctypes.c_int32}[pointee])
    found = body(x.ctypes.data_as(pointer), interpreted.ctypes.data_as(pointer), x.size, *constants)
    assert found == 1
    assert fused.compiled_pass(kernel)(x.ctypes.data, compiled.ctypes.data, x.size, *described.constants) == 1
    numbers = ~np.isnan(x)
    assert np.array_equal(interpreted[numbers].view(np.int32), compiled[numbers].view(np.int32))


@pytest.mark.parametrize("fraction_bits", [0, 3, -60, 60, -125, 125])
@pytest.mark.parametrize("name", [*NAMES, "fp8-e4m3 overflowing", "fp8-e5m2 overflowing"])
def test_kernel_equals_plain_torch_on_any_bit_pattern(name: str, fraction_bits: int):
    number_format = parse_format(name.removesuffix(" overflowing"))
    if name.endswith("overflowing"):
        assert isinstance(number_format, FloatFormat)
        number_format = replace(number_format, overflow="infinity")
    bits = torch.randint(-(2**31), 2**31, (20_000,), generator=torch.Generator().manual_seed(fraction_bits))
    x = bits.to(torch.int32).view(torch.float32)
    x = x[~x.isnan()]
    got = number_format.quantize(x, fraction_bits)
    assert torch.equal(got.view(torch.int32), reference(number_format, x, fraction_bits).view(torch.int32))


@pytest.mark.parametrize("name", NAMES)
def test_rounding_twice_changes_nothing(name: str):
    x = torch.randn(5000) * 100
    once = parse_format(name).quantize(x, 2)
    assert torch.equal(parse_format(name).quantize(once, 2), once)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("fixed8", 0.5, 0),
        ("fixed8", 1.5, 2),
        ("fixed8", -2.5, -2),
        ("fixed8", 1000, 127),
        ("fixed8", -1000, -128),
        ("pow2-6", 1.5, 2),  # between codes 1 and 2
        ("pow2-6", 3.0, 2),  # between codes 2 and 3
        ("pow2-6", 0.5, 0),
        ("pow2-6", 2.0**40, 2.0**30),
        ("binary", 0.0, 1),
        ("binary", -1e-30, -1),
        ("ternary", 0.5, 0),
        ("ternary", -0.75, -1),
        ("fp8-e4m3", 1e9, 448),
        ("fp8-e5m2", 1e9, 57344),
        ("float-e2m1", 5.0, 4),
    ],
)
def test_ties_go_to_the_even_code_and_extremes_saturate(name: str, x: float, expected: float):
    assert parse_format(name).quantize(torch.tensor([float(x)])).item() == expected


@pytest.mark.parametrize("name", NAMES)
def test_infinity_saturates(name: str):
    number_format = parse_format(name)
    got = number_format.quantize(torch.tensor([math.inf, -math.inf], dtype=torch.float64))
    assert got.tolist() == [float(number_format.largest), float(number_format.lowest)]
    assert number_format.quantize_scalar(math.inf) == number_format.largest


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_nan_is_refused(name: str, dtype: torch.dtype):
    with pytest.raises(FormatError, match="NaN"):
        parse_format(name).quantize(torch.tensor([1.0, math.nan], dtype=dtype))
    with pytest.raises(FormatError, match="NaN"):
        parse_format(name).quantize_scalar(math.nan)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", [*NAMES[::2], "pow2-7", "pow2-8", "float-e7m22"])
@given(
    x=st.one_of(floats, st.sampled_from([math.inf, -math.inf, 65504.0, -65504.0])), fraction_bits=st.integers(-70, 70)
)
@settings(max_examples=10, deadline=None)
def test_a_narrow_dtype_gets_the_nearest_value_or_the_largest_that_it_carries(
    name: str, dtype: torch.dtype, x: float, fraction_bits: int
):
    number_format, tensor = parse_format(name), torch.tensor(x).to(dtype)
    try:
        got = number_format.quantize(tensor, fraction_bits)
    except FormatError:  # the dtype carries nothing but zero: see the next test but one
        return
    value = Fraction(got.item())
    exact = number_format.quantize_scalar(tensor.item(), fraction_bits)
    carried = torch.tensor(float(exact), dtype=torch.float64).to(dtype)
    if carried.isfinite() and Fraction(carried.item()) == exact:
        assert value == exact
    else:
        assert number_format.quantize_scalar(value, fraction_bits) == value
        assert abs(value) < abs(exact)
        assert got == number_format.quantize(torch.tensor(math.copysign(math.inf, x), dtype=dtype), fraction_bits)


@pytest.mark.parametrize(
    ("name", "dtype", "x", "fraction_bits", "expected"),
    [
        ("fixed32", torch.float32, 1e30, 0, 2**31 - 128),
        ("fixed32", torch.float32, -1e30, 0, -(2**31)),
        ("fixed32", torch.float16, 65504.0, -10, 64512.0),
        ("fixed32", torch.float16, -65504.0, -10, -64512.0),
        ("fixed8", torch.float16, 1.0, 30, 2.0**-24),
        ("pow2-8", torch.float16, 65504.0, 0, 32768.0),
        ("bfloat16", torch.float16, 65504.0, 0, 65280.0),
    ],
)
def test_what_saturates_in_a_narrow_dtype_stays_a_value_of_the_format(
    name: str, dtype: torch.dtype, x: float, fraction_bits: int, expected: float
):
    assert parse_format(name).quantize(torch.tensor([x], dtype=dtype), fraction_bits).item() == expected


def test_a_dtype_that_carries_no_value_is_refused():
    with pytest.raises(FormatError, match="carries"):
        parse_format("binary").quantize(torch.ones(3, dtype=torch.float16), 30)


@pytest.mark.parametrize("fraction_bits", [-512, -200, 200, 512])
@pytest.mark.parametrize("name", NAMES)
def test_far_radix_points_are_exact_in_float64(name: str, fraction_bits: int):
    number_format = parse_format(name)
    unit = 2.0**-fraction_bits
    for x in (0.3 * unit, -1.5 * unit, 2.5 * unit, 1e300, -1e-300, 5e-324, -5e-324):
        got = number_format.quantize(torch.tensor([x], dtype=torch.float64), fraction_bits).item()
        assert Fraction(got) == number_format.quantize_scalar(x, fraction_bits)


@pytest.mark.parametrize("bad", [1.0, True, "3", None, 1000])
def test_a_radix_point_is_a_plain_integer(bad: object):
    with pytest.raises(FormatError, match="fraction_bits"):
        parse_format("fixed8").quantize(torch.zeros(1), bad)  # pyright: ignore[reportArgumentType]


def test_an_integer_tensor_is_refused():
    with pytest.raises(FormatError, match="floating-point"):
        parse_format("fixed8").quantize(torch.zeros(1, dtype=torch.int32))


@pytest.mark.parametrize("name", ["fixed8", "pow2-6", "fp8-e4m3", "float32", "binary"])
def test_result_goes_into_the_given_buffer(name: str):
    x = torch.randn(3, 50)
    for out in (torch.empty(3, 50), torch.empty(50, 3).t(), x.clone()):
        source = out if torch.equal(out, x) else x
        expected = parse_format(name).quantize(x, 0)
        result = parse_format(name).quantize(source, 0, out=out)
        assert result is out
        assert torch.equal(out, expected)


def test_a_buffer_of_another_shape_is_refused():
    with pytest.raises(FormatError, match="out must be"):
        parse_format("fixed8").quantize(torch.zeros(3), out=torch.zeros(4))


def test_strided_and_empty_tensors_keep_their_shape():
    x = torch.randn(6, 8)[::2, 1::3]
    assert torch.equal(parse_format("fixed8").quantize(x, 4), parse_format("fixed8").quantize(x.clone(), 4))
    assert parse_format("fixed8").quantize(torch.empty(0, 3)).shape == (0, 3)


def test_several_threads_give_what_one_gives():
    x = torch.randn(SERIAL_ELEMENTS * 2 + 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        many = parse_format("fixed8").quantize(x, 5)
        with pytest.raises(FormatError, match="NaN"):
            parse_format("fixed8").quantize(torch.cat([x, torch.tensor([math.nan])]), 5)
        torch.set_num_threads(1)
        assert torch.equal(parse_format("fixed8").quantize(x, 5), many)
    finally:
        torch.set_num_threads(before)


def test_channels_last_stays_channels_last_without_a_copy(monkeypatch: pytest.MonkeyPatch):
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    result = parse_format("fixed8").quantize(x, 4)
    assert result.stride() == x.stride()
    assert torch.equal(result, parse_format("fixed8").quantize(x.contiguous(), 4))
    out = torch.empty_like(x)
    for allocating in ("empty_like", "empty"):
        monkeypatch.setattr(torch, allocating, None)
    assert parse_format("fixed8").quantize(x, 4, out=out) is out
    assert torch.equal(out, result)


def test_an_expanded_tensor_is_quantized():
    x = torch.randn(1, 4).expand(3, 4)
    assert torch.equal(parse_format("fixed8").quantize(x, 4), parse_format("fixed8").quantize(x.clone(), 4))


def test_no_gradient_flows_through():
    weight = torch.nn.Parameter(torch.randn(3, 4))
    assert not parse_format("fixed8").quantize(weight, 4).requires_grad
    assert not parse_format("fixed8").quantize(weight.t()[:2], 4).requires_grad


def test_autograd_notices_an_overwritten_buffer():
    x, out = torch.randn(5, requires_grad=True), torch.randn(5)
    product = x * out
    parse_format("fixed8").quantize(torch.randn(5), 4, out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize("size", [1000, SERIAL_ELEMENTS + 7])
@pytest.mark.parametrize("name", ["fixed8", "fixed32", "binary", "pow2-6", "fp8-e4m3", "float32", "float16"])
def test_all_nan_are_counted(name: str, size: int):
    x = torch.ones(size)
    x[[1, 500, -1]] = math.nan
    with pytest.raises(FormatError, match=f"3 of the tensor's {size} elements are NaN"):
        parse_format(name).quantize(x, out=x)


def _quantize_bytes(x: np.ndarray) -> bytes:
    return parse_format("fixed8").quantize(torch.from_numpy(x), 5).numpy().tobytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_started_later_quantize_too(method: str):
    x = torch.randn(SERIAL_ELEMENTS + 5).numpy()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = _quantize_bytes(x)
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply_async(_quantize_bytes, (x,)).get(timeout=120) == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("problem", [RuntimeError("no locator"), OSError("disk full")])
def test_a_kernel_compiles_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch, problem: Exception):
    compile_pass = fused.cfunc

    def unwritable(signature: object, cache: bool = False) -> object:
        if cache:
            raise problem
        return compile_pass(signature)

    monkeypatch.setattr(fused, "cfunc", unwritable)
    x, out = np.float32([-2, 0, np.nan]), np.zeros(3, np.float32)
    compiled = fused._machine_code.__wrapped__("binary")
    monkeypatch.setattr(fused, "_machine_code", lambda name: compiled)
    found = fused.compiled_pass.__wrapped__("binary")(x.ctypes.data, out.ctypes.data, 3, 0.5)
    assert found == 1
    assert out[:2].tolist() == [-0.5, 0.5]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "name", ["fixed8", "fixed32", "pow2-6", "ternary", "binary", "fp8-e4m3", "bfloat16", "float32"]
)
def test_cuda_gives_what_the_cpu_gives(name: str):
    x = torch.cat([torch.randn(5000) * 50, torch.tensor([math.inf, -math.inf, 0.0, -0.0])])
    number_format = parse_format(name)
    on_device = number_format.quantize(x.cuda(), 3).cpu()
    assert torch.equal(on_device.view(torch.int32), number_format.quantize(x, 3).view(torch.int32))
    assert torch.equal(number_format.encode(x.cuda(), 3).cpu(), number_format.encode(x, 3))
