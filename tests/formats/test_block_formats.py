"""Block formats: names, scales by every rule, codes and bytes, against foreign libraries and exact fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fewbits import FormatError, parse_format, parse_precision
from fewbits.formats import BlockFormat, PackedBlocks, SummedDimension
from fewbits.formats.block_kernels import quantize_fused
from fewbits.formats.block_quantizing import reference
from fewbits.formats.block_reference import reference_block
from fewbits.formats.scale import LAST

NAMED = (
    *("mxfp8-e4m3", "mxfp8-e5m2", "mxfp6-e3m2", "mxfp6-e2m3", "mxfp4", "mxint8", "mxint4", "nvfp4", "nvint4"),
    *("float-e2m1x16-e8m0", "fixed6x8-e4m0", "float-e4m3x128-e4m3", "fixed5x24-e8m0", "float-e3m4x64-e5m0"),
)
OF_POWERS, OF_RATIOS = ("floor", "ceil", "even", "nearest"), ("floor", "ceil", "nearest")


def block_format(name: str) -> BlockFormat:
    found = parse_format(name)
    assert isinstance(found, BlockFormat)
    return found


ALL = [
    name if block_format(f"{name}:{rule}").rule == block_format(name).rule else f"{name}:{rule}"
    for name in NAMED
    for rule in (OF_RATIOS if (name.endswith("e4m3") and not name.startswith("mx")) or name[:2] == "nv" else OF_POWERS)
]


def ties(number_format: BlockFormat) -> Tensor:
    """Blocks whose largest element is fixed and whose others lie in the middle between neighbours, or beside it."""
    element = number_format.element
    codes = torch.arange(2**element.bits)
    numbers = element.decode_numbers(codes).double()
    numbers = numbers[numbers.isfinite()].unique() / 2**number_format.element_point
    middles = (numbers[1:] + numbers[:-1]) / 2
    middles = torch.cat([middles, middles * (1 + 2**-20), middles * (1 - 2**-22)])
    room = number_format.size - 1
    padded = torch.nn.functional.pad(middles, (0, -len(middles) % room)).view(-1, room)
    tops = float(number_format.element_largest) * torch.tensor([0.55, 0.75, 0.9, 1.0, 1.2, 1.5, 1.99])
    rows = [torch.cat([top.double().expand(len(padded), 1), padded], 1) for top in tops]
    return torch.cat(rows).float()


def normals(number_format: BlockFormat, elements: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = -(-elements // number_format.size)
    x = torch.randn(rows, number_format.size, generator=generator)
    return x * 2.0 ** torch.randint(-12, 12, (rows, 1), generator=generator)


# Names


@pytest.mark.parametrize("name", [*ALL, "mxint8:symmetric", "mxint4:ceil:symmetric"])
def test_names_go_both_ways(name: str) -> None:
    assert parse_format(name).name == name
    assert parse_precision(f"fixed4/{name}").name == f"fixed4/{name}"


SPELLINGS = {
    "float-e2m1x32-e8m0": "mxfp4",
    "float-e2m1x32-e8m0:floor": "mxfp4",
    "mxfp4:up": "mxfp4:ceil",
    "mxfp4:down": "mxfp4",
    "nvfp4:nearest": "nvfp4",
    "fp8-e4m3x32-e8m0:symmetric": None,
    "fixed8x32-e8m0:symmetric:even": "mxint8:even:symmetric",
}


@pytest.mark.parametrize(("spelled", "name"), [each for each in SPELLINGS.items() if each[1]])
def test_a_format_has_one_name_however_it_is_spelled(spelled: str, name: str) -> None:
    assert parse_format(spelled).name == name
    assert parse_format(spelled) == parse_format(name)


REFUSED = {
    "float-e2m1x7-e8m0": "a block has 8 to 128 elements, a multiple of 8, not 7",
    "float-e2m1x33-e8m0": "a block has 8 to 128 elements",
    "float-e2m1x0-e8m0": "a block has 8 to 128 elements",
    "fixed4x136-e8m0": "a block has 8 to 128 elements",
    "fixed4x99999999999999999999999-e8m0": "a block has 8 to 128 elements",
    "pow2-4x32-e8m0": "a block has elements float-eXmY or fixedN",
    "binaryx32-e8m0": "a block has elements float-eXmY or fixedN",
    "fixed17x32-e8m0": "a block has elements float-eXmY or fixedN of at most 16 bits",
    "fixed1x32-e8m0": "fixed1 is no format",
    "float32x32-e8m0": "of at most 16 bits",
    "float-e9m9x32-e8m0": "is not supported",
    "fixed4x32-e5m2": "unknown format of scales 'e5m2': give e8m0, e4m3",
    "fixed4x32-e9m0": "unknown format of scales 'e9m0'",
    "fixed4x32-e1m0": "unknown format of scales 'e1m0'",
    "mxfp4:round": "has no option 'round': give floor, ceil, even, nearest",
    "mxfp4:": "has no option ''",
    "mxfp4:ceil:floor": "names an option twice",
    "mxint8:symmetric:symmetric": "names an option twice",
    "nvfp4:even": "even is for scales that are powers of two",
    "mxfp4:symmetric": "symmetric is for fixed-point elements",
    "mxpf4": "did you mean mxfp4",
    "MXFP4": "did you mean mxfp4",
    "mxfp8": "did you mean mxfp8-e4m3 or mxfp8-e5m2",
    "mxfp6": "did you mean mxfp6-e3m2 or mxfp6-e2m3",
}


@pytest.mark.parametrize(("name", "sentence"), REFUSED.items())
def test_what_is_no_block_format_is_refused_in_one_line(name: str, sentence: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_format(name)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


# Against exact fractions


@pytest.mark.parametrize("name", ALL)
def test_blocks_are_those_of_exact_fractions(name: str) -> None:
    number_format = block_format(name)
    x = torch.cat([normals(number_format, 400), ties(number_format)[:: 1 + len(ties(number_format)) // 30]])
    encoded = number_format.encoded(x, None)
    values, factors = encoded.values(), encoded.scale.factors
    factor = Fraction(factors.factor) / Fraction(2) ** (factors.fraction_bits - number_format.element_point)
    scales = encoded.scale.block_values(x)[:, 0] * 2.0**number_format.element_point
    for row, found, scale in zip(x.tolist(), values.tolist(), scales.tolist(), strict=True):
        expected_scale, expected = reference_block(number_format, [Fraction(each) for each in row], factor)
        if number_format.scales.name != "e4m3" and number_format.needs_radix_point:
            expected_scale = min(max(expected_scale, factor), factor * number_format.scales.largest)
        assert Fraction(scale) == expected_scale
        assert [Fraction(each) for each in found] == expected


LAYOUTS = ("channels", "groups", "channels-last", "odd")


@pytest.mark.parametrize(
    ("name", "layout"),
    [*((name, "rows") for name in (*ALL, "mxint8:symmetric")), *((name, each) for name in NAMED for each in LAYOUTS)],
)
def test_the_fused_pass_is_plain_torch_bit_for_bit(name: str, layout: str) -> None:
    number_format = block_format(name)
    shape, along = {
        "rows": ((9, 70), LAST),
        "channels": ((3, 40, 5, 7), SummedDimension(1)),
        "groups": ((2, 40, 3, 3), SummedDimension(-3, 4)),
        "channels-last": ((2, 24, 3, 3), SummedDimension(1)),
        "odd": ((2, 33, 301), SummedDimension(1)),
    }[layout]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3
    x = torch.where(x > 2, x, (x * 8).round() / 8)
    if layout == "channels-last":
        x = x.contiguous(memory_format=torch.channels_last)
    for rectified in (False, True):
        for point in (None, 0, 2):
            fused = quantize_fused(number_format, x, point, None, rectified, along)
            plain = reference(number_format, x, point, rectified, along)
            if fused is not None:
                assert torch.equal(fused.contiguous().view(torch.int32), plain.contiguous().view(torch.int32))
            assert fused is not None or point == 2  # a row of zeros at another factor is left to plain torch


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("top", [3.4e38, 2.0**126, 2.0**-126, 1e-41, 2.0**-149])
def test_ends_of_float32_are_as_exact_and_finite(name: str, top: float) -> None:
    x = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)).sub(0.5).mul(2 * top)
    x[0, 0], x[1, 0], x[2, :] = top, -top, 0.0
    for rule in (":ceil", ""):
        number_format = block_format(name + rule)
        found = number_format.quantize(x)
        assert bool(found.isfinite().all())
        assert torch.equal(found, reference(number_format, x, None, False, LAST))


# Against foreign libraries

GFLOAT = {
    "mxfp8-e4m3": "mxfp8_e4m3",
    "mxfp8-e5m2": "mxfp8_e5m2",
    "mxfp6-e3m2": "mxfp6_e3m2",
    "mxfp6-e2m3": "mxfp6_e2m3",
    "mxfp4": "mxfp4_e2m1",
    "mxint8": "mxint8",
}


def scale_of_rule(rule: str, element: object, bits: int) -> Callable[[float, np.ndarray], np.ndarray]:
    """Scales of blocks (rows) in NumPy, written from the rules' words alone."""
    largest = float(element.max)  # type: ignore[attr-defined]
    emax = math.floor(math.log2(largest))

    def scales(amax: np.ndarray) -> np.ndarray:
        mantissa, exponent = np.frexp(amax)
        if rule == "floor":
            power = exponent - 1 - emax
        elif rule == "even":
            power = np.frexp(np.round(mantissa * 2 ** (bits + 1)) / 2 ** (bits + 1) * 2.0**exponent)[1] - 1 - emax
        else:
            mantissa, exponent = np.frexp(amax / largest)
            up = mantissa > 0.5 if rule == "ceil" else mantissa >= 0.75
            power = exponent - 1 + up
        return 2.0 ** np.clip(power, -127, 127)

    return scales


@pytest.mark.parametrize("rule", OF_POWERS)
@pytest.mark.parametrize("name", GFLOAT)
def test_200_000_values_and_all_ties_are_gfloats(name: str, rule: str) -> None:
    gfloat = pytest.importorskip("gfloat", reason="gfloat is the oracle of this test")
    formats = pytest.importorskip("gfloat.formats", reason="gfloat is the oracle of this test")
    info = getattr(formats, f"format_info_{GFLOAT[name]}")
    number_format = block_format(f"{name}:{rule}")
    x = torch.cat([normals(number_format, 200_000), ties(number_format)])
    amax = x.double().abs().amax(1, keepdim=True).numpy()
    scales = scale_of_rule(rule, info.etype, number_format.significand_bits)(amax)
    rounded = gfloat.round_ndarray(info.etype, x.double().numpy() / scales, sat=True) * scales
    assert int((torch.from_numpy(rounded) != number_format.quantize(x).double()).sum()) == 0
    alone = gfloat.quantize_block(info, x[0].double().numpy(), lambda *_: float(scales[0, 0]))
    assert np.array_equal(alone, rounded[0])


@pytest.mark.parametrize("name", ["nvfp4", "nvint4"])
def test_scales_under_e4m3_are_gfloats(name: str) -> None:
    gfloat = pytest.importorskip("gfloat", reason="gfloat is the oracle of this test")
    formats = pytest.importorskip("gfloat.formats", reason="gfloat is the oracle of this test")
    number_format = block_format(name)
    x = normals(number_format, 200_000).clamp(-50, 50).double()
    largest = float(number_format.element_largest)
    factor = np.float64(np.float32(x.abs().max().item() / (448 * largest)))
    wanted = x.abs().amax(1, keepdim=True).numpy() / (factor * largest)
    scales = np.clip(gfloat.round_ndarray(formats.format_info_ocp_e4m3, wanted, sat=True), 2.0**-9, 448) * factor
    ratios = x.numpy() / scales
    rounded = (
        gfloat.round_ndarray(formats.format_info_ocp_e2m1, ratios, sat=True)
        if name == "nvfp4"
        else np.clip(np.round(ratios), -8, 7)
    )
    assert np.array_equal((rounded * scales).astype(np.float32), number_format.quantize(x.float()).numpy())


ML_DTYPES = {
    "mxfp8-e4m3": "float8_e4m3fn",
    "mxfp8-e5m2": "float8_e5m2",
    "mxfp6-e3m2": "float6_e3m2fn",
    "mxfp6-e2m3": "float6_e2m3fn",
    "mxfp4": "float4_e2m1fn",
    "nvfp4": "float4_e2m1fn",
}


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_elements_code_is_ml_dtypes(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is the oracle of this test")
    element = block_format(name).element
    codes = np.arange(2**element.bits, dtype=np.uint8)
    expected = codes.view(getattr(ml_dtypes, ML_DTYPES[name])).astype(np.float64)
    found = element.decode(torch.from_numpy(codes.astype(np.int64))).numpy()
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize(("name", "foreign"), [("mxfp4", "float8_e8m0fnu"), ("nvfp4", "float8_e4m3fn")])
def test_every_scales_code_is_ml_dtypes(name: str, foreign: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is the oracle of this test")
    codes = np.arange(256, dtype=np.uint8)
    expected = codes.view(getattr(ml_dtypes, foreign)).astype(np.float64)
    found = block_format(name).scales.of_bytes(codes.tobytes(), torch.device("cpu")).numpy()
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize(("rule", "mode"), [("ceil", "up"), ("down", "down"), ("nearest", "nearest")])
def test_scales_are_those_of_onnx_cast_25(rule: str, mode: str) -> None:
    helper = pytest.importorskip("onnx.numpy_helper", reason="onnx is the oracle of this test")
    number_format = block_format(f"float-e2m1x8-e8m0:{rule}")
    divisor = 4 if rule == "down" else 6
    ratios = torch.cat([torch.linspace(1, 2, 4097)[:-1] * 2.0**power for power in (-90, -1, 0, 1, 60)])
    x = torch.zeros(len(ratios), 8)
    x[:, 0] = ratios * divisor
    exact = x[:, 0].double() / divisor == ratios.double()
    assert int(exact.sum()) > 10_000
    codes = np.frombuffer(number_format.encoded(x).scale.factors.codes, np.uint8)
    expected = helper.to_float8e8m0(ratios.numpy(), True, mode).view(np.uint8)
    assert np.array_equal(codes[exact.numpy()], expected[exact.numpy()])


def test_mxint8_without_its_lowest_code_is_microxcalings() -> None:
    """microxcaling's `_quantize_elemwise_core`: round half to even at six fraction bits, clamp to 127 / 64."""
    x = normals(block_format("mxint8"), 50_000)
    scale = 2.0 ** torch.floor(torch.log2(x.abs().amax(1, keepdim=True).double()))
    expected = ((x / scale * 64).round() / 64).clamp(-127 / 64, 127 / 64) * scale
    assert torch.equal(block_format("mxint8:symmetric").quantize(x).double(), expected)


# What must hold of any block

numbers = st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=1, max_size=40)


FLOATS = [each for each in ALL if each.startswith("mxfp")]


@pytest.mark.parametrize("name", [each for each in FLOATS if "nearest" not in each])  # by which 9 becomes 8, and 8 6
@given(x=numbers)
@settings(max_examples=15, deadline=None)
def test_floats_under_powers_are_idempotent_and_symmetric(name: str, x: list[float]) -> None:
    number_format, tensor = block_format(name), torch.tensor(x)
    once = number_format.quantize(tensor)
    assert torch.equal(number_format.quantize(once), once)
    assert torch.equal(number_format.quantize(-tensor), -once)


@pytest.mark.parametrize("name", ["mxint8:symmetric", "mxint4:ceil:symmetric", "fixed6x8-e8m0:even:symmetric"])
@given(x=numbers)
@settings(max_examples=25, deadline=None)
def test_so_are_integers_without_the_lowest(name: str, x: list[float]) -> None:
    number_format, tensor = block_format(name), torch.tensor(x)
    once = number_format.quantize(tensor)
    assert torch.equal(number_format.quantize(once), once)
    assert torch.equal(number_format.quantize(-tensor), -once)


@pytest.mark.parametrize("name", NAMED)
@given(x=numbers)
@settings(max_examples=15, deadline=None)
def test_a_block_keeps_the_order_of_its_values(name: str, x: list[float]) -> None:
    number_format = block_format(name)
    tensor = torch.tensor(x[: number_format.size]).sort().values
    assert bool((number_format.quantize(tensor).diff() >= 0).all())


@pytest.mark.parametrize("name", NAMED)
@given(x=numbers, zeros=st.integers(1, 50))
@settings(max_examples=15, deadline=None)
def test_padding_with_zeros_changes_no_value(name: str, x: list[float], zeros: int) -> None:
    number_format, tensor = block_format(name), torch.tensor(x)
    padded = number_format.quantize(torch.nn.functional.pad(tensor, (0, zeros)))
    assert torch.equal(padded[: len(x)], number_format.quantize(tensor))
    assert not bool(padded[len(x) :].any())


def test_infinity_counts_as_the_largest_number_and_nan_is_refused() -> None:
    x = torch.tensor([math.inf, -math.inf, 1.0])
    top = torch.finfo(torch.float32).max
    for name in NAMED:
        assert torch.equal(parse_format(name).quantize(x), parse_format(name).quantize(x.clamp(-top, top)))
        with pytest.raises(FormatError, match=r"1 of the tensor's 3 elements are NaN"):
            parse_format(name).quantize(torch.tensor([math.nan, 1.0, 2.0]))


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mxint8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_are_rounded_to_the_same_values(name: str, dtype: torch.dtype) -> None:
    x = torch.randn(5, 50, generator=torch.Generator().manual_seed(2)).to(dtype)
    assert torch.equal(parse_format(name).quantize(x), parse_format(name).quantize(x.double()).to(dtype))


def test_memory_is_reused_in_any_layout() -> None:
    x = torch.randn(3, 40, generator=torch.Generator().manual_seed(3))
    expected = parse_format("mxfp4").quantize(x)
    out = torch.empty_like(x)
    assert parse_format("mxfp4").quantize(x, out=out) is out
    assert torch.equal(out, expected)
    assert torch.equal(parse_format("mxfp4").quantize(x, out=torch.empty(40, 3).t()), expected)
    assert torch.equal(parse_format("mxfp4").quantize(x.t(), along=SummedDimension(0)).t(), expected)
    assert torch.equal(parse_format("mxfp4").quantize(x[:, ::2]), parse_format("mxfp4").quantize(x[:, ::2].clone()))
    assert torch.equal(parse_format("mxfp4").quantize(x, out=x), expected)


# Codes and bytes


@pytest.mark.parametrize("name", [*NAMED, "mxint8:symmetric"])
@pytest.mark.parametrize(("shape", "dim"), [((70,), -1), ((3, 40, 2, 5), 1), ((2, 9), 0)])
def test_codes_scales_and_bytes_come_back(name: str, shape: tuple[int, ...], dim: int) -> None:
    number_format = block_format(name)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    encoded = number_format.encoded(x, along=SummedDimension(dim))
    assert torch.equal(encoded.values().float(), number_format.quantize(x, along=SummedDimension(dim)))
    assert torch.equal(number_format.quantize(x, encoded.scale), encoded.values().float())
    packed = PackedBlocks.of(encoded, number_format)
    back = packed.encoded()
    assert np.array_equal(back.codes, encoded.codes)
    assert back.scale == encoded.scale
    whole = encoded.scale.factors.count * number_format.size
    assert len(packed.elements) == whole * number_format.bits // 8
    codes = torch.from_numpy(encoded.codes.astype(np.int64))
    assert torch.equal(number_format.decode(codes, encoded.scale), encoded.values())
    assert torch.equal(number_format.encode(x, encoded.scale), codes)


def test_stored_bits_are_those_of_elements_and_scales() -> None:
    encoded = block_format("mxfp4").encoded(torch.ones(4, 64))
    assert encoded.stored_bits == 4 * 64 * 4 + 4 * 2 * 8
    assert block_format("fixed4x16-e4m0").encoded(torch.ones(32)).stored_bits == 32 * 4 + 2 * 4
    assert float(block_format("nvfp4").bits_an_element) == 4.5


def test_four_bit_codes_are_packed_as_onnx_packs_them() -> None:
    helper = pytest.importorskip("onnx.helper", reason="onnx is the oracle of this test")
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is the oracle of this test")
    number_format = block_format("mxfp4")
    encoded = number_format.encoded(torch.randn(64, generator=torch.Generator().manual_seed(5)))
    tensor = helper.make_tensor("x", 23, [64], encoded.codes.view(ml_dtypes.float4_e2m1fn), raw=False)
    packed = bytes(each & 0xFF for each in tensor.int32_data) or tensor.raw_data
    assert PackedBlocks.of(encoded, number_format).elements == packed


def test_six_bit_codes_fill_three_bytes_from_the_least_bit_on() -> None:
    number_format = block_format("float-e2m3x8-e8m0")
    encoded = number_format.encoded(torch.tensor([7.5, 0.125, -1.0, 2.0, 0, 0, 0, 0]))
    a, b, c, d = (int(code) for code in encoded.codes[:4])
    word = a | b << 6 | c << 12 | d << 18
    packed = PackedBlocks.of(encoded, number_format)
    assert packed.elements[:3] == word.to_bytes(3, "little")
    assert packed.interleaved() == packed.scales + packed.elements


def test_a_block_whose_scale_is_nan_is_nan() -> None:
    number_format = block_format("mxfp4")
    encoded = number_format.encoded(torch.ones(64))
    packed = PackedBlocks.of(encoded, number_format)
    broken = PackedBlocks(number_format, (64,), -1, packed.elements, b"\xff\x7f", packed.fraction_bits)
    values = broken.encoded().values()
    assert bool(values[:32].isnan().all())
    assert bool(values[32:].isfinite().all())


BAD = {
    "blocks on a scalar": (lambda: parse_format("mxfp4").quantize(torch.tensor(1.0)), "a scalar has none"),
    "integers": (lambda: parse_format("mxfp4").quantize(torch.ones(4, dtype=torch.int32)), "a floating-point tensor"),
    "another block": (
        lambda: parse_format("mxfp4").quantize(torch.ones(64), block_format("nvfp4").encoded(torch.ones(64)).scale),
        "has blocks of 32 with scales e8m0: the scale has 16 and e4m3",
    ),
    "another tensor": (
        lambda: parse_format("mxfp4").quantize(torch.ones(65), block_format("mxfp4").encoded(torch.ones(64)).scale),
        "a scale of 2 blocks does not fit a tensor of shape (65,)",
    ),
    "no such dimension": (
        lambda: parse_format("mxfp4").quantize(torch.ones(4), along=SummedDimension(1)),
        "has no dimension 1",
    ),
    "groups": (
        lambda: parse_format("mxfp4").quantize(torch.ones(2, 9), along=SummedDimension(1, 2)),
        "has no 2 equal groups",
    ),
    "codes without scales": (lambda: parse_format("mxfp4").encode(torch.ones(4)), "mean nothing without the scales"),
    "decoding without scales": (
        lambda: parse_format("mxfp4").decode(torch.ones(4, dtype=torch.int64)),
        "mean nothing without the scales",
    ),
    "bytes of others": (
        lambda: PackedBlocks.of(block_format("nvfp4").encoded(torch.ones(16)), block_format("mxfp4")),
        "these are no codes of mxfp4",
    ),
    "too few bytes": (
        lambda: PackedBlocks(block_format("mxfp4"), (64,), -1, b"1", b"11").encoded(),
        "64 codes of 4 bits fill 32 bytes",
    ),
    "multipliers": (lambda: parse_format("mxfp4").integer_limits, "has no integers of its own"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_is_refused_in_one_line(what: str) -> None:
    call, sentence = BAD[what]
    with pytest.raises(FormatError) as caught:
        call()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMED)
def test_a_tensor_without_elements_or_of_zeros_is_returned_so(name: str) -> None:
    number_format = parse_format(name)
    assert number_format.quantize(torch.zeros(3, 0)).shape == (3, 0)
    assert not bool(number_format.quantize(torch.zeros(3, 40)).any())


# Quality

QSNR = {
    "mxfp8-e4m3": {"floor": 30.64, "ceil": 31.53, "even": 31.19},
    "mxfp8-e5m2": {"floor": 25.35, "ceil": 25.54, "even": 25.54},
    "mxfp6-e2m3": {"floor": 30.94, "ceil": 30.96, "even": 30.99},
    "mxfp6-e3m2": {"floor": 25.35, "ceil": 25.54, "even": 25.54},
    "mxfp4": {"floor": 18.79, "ceil": 18.76, "even": 19.03},
    "mxint8": {"floor": 41.66, "ceil": 41.61, "even": 41.64},
    "mxint4": {"floor": 17.56, "ceil": 16.85, "even": 17.21},
    "nvfp4": {"nearest": 20.44},
    "nvint4": {"nearest": 21.28},
}
"""Decibels on 2**20 standard normal numbers, blocks along the last dimension: measured elsewhere, with other code."""


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name, rules in QSNR.items() for rule in rules])
def test_quantization_snr_on_normal_numbers(name: str, rule: str) -> None:
    x = torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    error = parse_format(f"{name}:{rule}").quantize(x).double() - x
    found = 10 * math.log10(x.double().square().sum().item() / error.square().sum().item())
    assert found == pytest.approx(QSNR[name][rule], abs=0.02)
