"""A format from outside: posits of 8 bits, exact against the standard's own words, from `quantize` to a refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits.bitexact.reference import reference_values
from fewbits.extensions import ExtensionError, found
from fewbits.formats import Format, FormatFamily, all_format_names

NAMES = ("posit8-es0", "posit8-es2")
POINTS = {"posit8-es0": 6, "posit8-es2": 24}
"""fraction_bits at which values are the standard's."""

pytestmark = pytest.mark.usefixtures("examples")


def value(code: int, bits: int, es: int) -> Fraction:
    """The standard's formula (Posit Standard 2022, section 3.4), here for any es: no code is negated."""
    text = f"{code:0{bits}b}"
    sign, body = int(text[0]), text[1:]
    run = len(body) - len(body.lstrip(body[0]))
    regime = -run if body[0] == "0" else run - 1
    left = body[run + 1 :] + "0" * es
    exponent, rest = int(left[:es] or "0", 2), left[es:]
    fraction = Fraction(int(rest or "0", 2), 2 ** len(rest))
    return (1 - 3 * sign + fraction) * Fraction(2) ** ((1 - 2 * sign) * (2**es * regime + exponent + sign))


def values(es: int) -> dict[int, Fraction]:
    """The value of each of the 255 codes that have one."""
    return {code: value(code, 8, es) if code else Fraction(0) for code in range(256) if code != 0x80}


def rounded(x: Fraction, es: int) -> int:
    """Code of a number rounded as section 4.1 says, by search through all codes."""
    table = values(es)
    smallest, largest = table[1], table[0x7F]
    by_value = {each: code for code, each in table.items()}
    if x in by_value:
        return by_value[x]
    if abs(x) > largest or abs(x) < smallest:
        magnitude = largest if abs(x) > largest else smallest
        return by_value[magnitude if x > 0 else -magnitude]
    below = max(each for each in table.values() if each < x)
    above = min(each for each in table.values() if each > x)
    code = by_value[below]
    border = value(2 * code + 1, 9, es)
    return code if x < border or (x == border and code % 2 == 0) else by_value[above]


def es_of(name: str) -> int:
    return int(name[-1])


@pytest.mark.parametrize("name", NAMES)
def test_every_code_decodes_to_the_standards_value(name: str) -> None:
    table = values(es_of(name))
    decoded = fb.parse_format(name).decode(torch.tensor(list(table)), POINTS[name])
    assert [Fraction(each) for each in decoded.tolist()] == list(table.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_value_encodes_to_its_code(name: str) -> None:
    table = values(es_of(name))
    x = torch.tensor([float(each) for each in table.values()], dtype=torch.float64)
    assert fb.parse_format(name).encode(x, POINTS[name]).tolist() == list(table)


@pytest.mark.parametrize("name", NAMES)
def test_borders_and_their_neighbours_round_as_the_standard_says(name: str) -> None:
    borders = [value(2 * code + 1, 9, es_of(name)) for code in range(1, 256) if code not in (0x7F, 0x80, 0xFF)]
    near = [float(border) for border in borders]
    x = [*near, *np.nextafter(near, np.inf).tolist(), *np.nextafter(near, -np.inf).tolist()]
    codes = fb.parse_format(name).encode(torch.tensor(x, dtype=torch.float64), POINTS[name]).tolist()
    assert codes == [rounded(Fraction(each), es_of(name)) for each in x]


@settings(max_examples=200, deadline=None)
@given(x=st.floats(-1e9, 1e9, width=32), name=st.sampled_from(NAMES))
def test_any_number_rounds_as_the_standard_says_as_tensor_and_alone(x: float, name: str) -> None:
    number_format = fb.parse_format(name)
    expected = rounded(Fraction(x), es_of(name))
    assert number_format.encode(torch.tensor([x]), POINTS[name]).tolist() == [expected]
    assert number_format.encode_scalar(x, POINTS[name]) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_number_does_not_become_zero(name: str) -> None:
    assert fb.parse_format(name).encode(torch.tensor([1e-45, -1e-45, 0.0]), POINTS[name]).tolist() == [1, 0xFF, 0]


@pytest.mark.parametrize("name", NAMES)
def test_infinity_saturates(name: str) -> None:
    assert fb.parse_format(name).encode(torch.tensor([torch.inf, -torch.inf])).tolist() == [0x7F, 0x81]


@pytest.mark.parametrize("name", NAMES)
def test_nar_is_no_number_either_way(name: str) -> None:
    with pytest.raises(fb.FormatError, match="NaR"):
        fb.parse_format(name).decode(torch.tensor([0x80]))
    with pytest.raises(fb.FormatError, match="NaN"):
        fb.parse_format(name).quantize(torch.tensor([torch.nan]))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 4),
        nn.ReLU(),
        nn.Linear(4, 3),
    )


IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))

PRECISIONS = ("posit8-es0", "posit8-es2", "posit8-es0/fixed8", "fixed4/posit8-es2")


def quantized(precision: str) -> fb.quantization.QuantizedModel:
    model = fb.quantize(network(), precision)
    fb.calibrate(model, IMAGES)
    return model.eval()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_bit_exact_network_equals_the_slow_oracle(precision: str) -> None:
    net = fb.lower(quantized(precision), IMAGES)
    expected = reference_values(net.operations, IMAGES[0].numpy())[net.operations[-1].name]
    exact = [float(Fraction(int(each)) / Fraction(2) ** net.logits_fraction_bits) for each in expected]
    assert net.run(IMAGES)[0].tolist() == exact


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_network_that_training_sees_is_near_the_bit_exact_one(precision: str) -> None:
    model = quantized(precision)
    torch.testing.assert_close(fb.lower(model, IMAGES).run(IMAGES).float(), model(IMAGES), rtol=1e-4, atol=1e-4)


def test_a_training_step_moves_the_shadow_weights() -> None:
    model = quantized("posit8-es2").train()
    before = model.layers["0"].layer.weight.detach().clone()
    model(IMAGES).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not torch.equal(before, model.layers["0"].layer.weight)


def test_a_state_is_loaded_again() -> None:
    model = quantized("posit8-es0/fixed8")
    other = fb.quantize(network(), "posit8-es0/fixed8").eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES), model(IMAGES))


def test_a_weights_numbers_are_what_its_codes_stand_for() -> None:
    layer = fb.lower(quantized("posit8-es0"), IMAGES).layers[0]
    assert np.array_equal(layer.weight.values(), quantized("posit8-es0").layers["0"].quantized_weight().double())


def test_the_circuit_is_refused_by_name() -> None:
    net = fb.lower(quantized("posit8-es0/fixed8"), IMAGES)
    with pytest.raises(
        fb.HardwareError,
        match=r"no datapath for posit8-es0/fixed8: posit8-es0 is of fewbits-examples 1\.0, which brings no circuit",
    ):
        fb.cost(net)


def test_a_wider_datapath_computes_a_layer_of_them_and_its_cost_names_the_decoder() -> None:
    model = fb.quantize(network(), "fixed16", layers={"0": "posit8-es0/fixed16"})
    fb.calibrate(model, IMAGES)
    notes = fb.cost(fb.lower(model.eval(), IMAGES)).notes
    assert any("conversion posit8-es0 in fixed16 not in this technology table: not counted" in note for note in notes)


def test_lists_and_errors_name_the_formats() -> None:
    assert set(NAMES) < set(all_format_names())
    with pytest.raises(fb.FormatError, match=r"posit8-es0, posit8-es2; did you mean posit8-es2\?"):
        fb.parse_format("posit8_es2")


def test_a_family_that_takes_a_name_of_fewbits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fewbits_examples import posit

    taken = FormatFamily("mine", "fixed8", lambda _: fb.parse_format("binary"), ("fixed8",), "fixed8")
    monkeypatch.setattr(posit, "FAMILY", taken)
    assert "posit8-es0" not in all_format_names()
    with pytest.raises(
        fb.FormatError, match=r"'posit' of fewbits-examples 1\.0 has the name 'fixed8' of the family 'fixed'"
    ):
        fb.parse_format("posit8-es0")


def test_a_family_that_gives_another_format_than_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fewbits_examples import posit

    other = FormatFamily("posit", "posit9", lambda _: posit.Posit(0), ("posit9",), "posit9")
    monkeypatch.setattr(posit, "FAMILY", other)
    with pytest.raises(ExtensionError, match=r"gives .* for 'posit9'"):
        fb.parse_format("posit9")


def test_a_format_without_exact_sums_is_trained_with_but_not_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    from fewbits_examples import posit

    monkeypatch.setattr(posit.Posit, "arithmetic", Format.arithmetic)
    model = quantized("posit8-es0").train()
    model(IMAGES).sum().backward()
    with pytest.raises(fb.ModelError, match=r"posit8-es0 can be trained with, but not lowered"):
        fb.lower(model, IMAGES)


def test_the_giver_is_known() -> None:
    assert found("formats")["posit"].giver == "fewbits-examples 1.0"


def fewbits(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "fewbits", *arguments],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_lists_and_describes_them(examples: Path) -> None:
    assert "posit8-es0 " in fewbits(examples, "formats").stdout
    about = fewbits(examples, "formats", "posit8-es2")
    assert about.stdout.startswith("posit8-es2: 8 bits, 255 values, family posit\n"), about.stderr


def test_the_command_line_refuses_their_cost_in_one_line(examples: Path) -> None:
    done = fewbits(examples, "cost", "lenet", "posit8-es0", "--json")
    assert done.returncode == 2
    assert "no datapath for posit8-es0: posit8-es0 is of fewbits-examples 1.0, which brings no circuit" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_study_refuses_them_before_it_trains(examples: Path, tmp_path: Path) -> None:
    study = tmp_path / "posit.toml"
    study.write_text('name = "posit"\nmodels = ["mlp"]\ndata = ["digits"]\nprecisions = ["posit8-es0"]\n')
    done = fewbits(examples, "run", str(study), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "no datapath for posit8-es0: posit8-es0 is of fewbits-examples 1.0" in done.stderr
