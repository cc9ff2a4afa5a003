"""Values of the right type that make no sense, at every door: one clear line, never an unexpected error."""

from __future__ import annotations

import contextlib
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from refusal import Command, refused  # pyright: ignore

from fewbits import data, models
from fewbits.errors import FewbitsError, HardwareError, ModelError
from fewbits.hardware import Accelerator
from fewbits.hardware.datapath import design
from fewbits.study import load_study
from fewbits.study.plan import make_plan
from fewbits.study.spec import StudySpec
from fewbits.train import RecipeOptions, TrainSettings

DIGITS = "1" + "0" * 5000
"""An integer that Python refuses to read."""

SMALL = {
    "name": '"small"',
    "models": '["lenet"]',
    "data": '["digits"]',
    "precisions": '["float32"]',
    "recipes": '["fine-tune"]',
    "seeds": "[0]",
}

VALUES = ("0", "-1", "nan", "inf", "true", '""', r'"\u0000"', "[]", "[[]]", "{}", "1e400", DIGITS, "2026-99-99")

LISTED = ("[0]", "[true]", "[nan]", f"[{DIGITS}]", r'["\u0000"]', '["/"]', '["."]', f'["{"x" * 5000}"]')

SECTIONS: dict[str, list[str]] = {
    name: list(kind.model_fields)
    for name, field in StudySpec.model_fields.items()
    if (kind := field.annotation) is not None and hasattr(kind, "model_fields")
}


def refuses_or_plans(path: Path, text: str) -> None:
    """Reading and planning the study ends well, or with an error of ours."""
    path.write_text(text)
    with contextlib.suppress(FewbitsError):
        make_plan(load_study(path))


@pytest.mark.parametrize("value", [*VALUES, *LISTED], ids=lambda value: value[:12])
def test_a_key_of_a_study_takes_no_nonsense(tmp_path: Path, value: str):
    for key in (*SMALL, "widen", "technology"):
        text = "".join(f"{name} = {given}\n" for name, given in (SMALL | {key: value}).items())
        refuses_or_plans(tmp_path / "study.toml", text)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_table_of_a_study_takes_no_nonsense(tmp_path: Path, section: str):
    study = "".join(f"{name} = {value}\n" for name, value in SMALL.items())
    for key in SECTIONS[section]:
        for value in VALUES:
            refuses_or_plans(tmp_path / "study.toml", f"{study}[{section}]\n{key} = {value}\n")


def test_an_integer_of_too_many_digits_is_refused_in_a_study(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(f"seeds = [{DIGITS}]\n")
    refused(fewbits("run", "study.toml"), "study.toml", "out of range", "19 digits")


def test_a_byte_order_mark_before_a_study_is_read(tmp_path: Path):
    text = "".join(f"{name} = {value}\n" for name, value in SMALL.items())
    (tmp_path / "study.toml").write_text(text, encoding="utf-8-sig")
    assert load_study(tmp_path / "study.toml").name == "small"


@pytest.mark.parametrize("size", [DIGITS, f"1x{DIGITS}x28", "0x1", "65536", "1x-1", "1x1x1x1", "", "x"])
def test_a_senseless_shape_is_refused(fewbits: Command, size: str):
    refused(fewbits("cost", "lenet", "fixed8", "--input", size), "--input takes a shape")


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "inf", "1e308", "1e400", "1e12", DIGITS, "5e-324", "", "0x10"])
def test_a_senseless_width_is_refused(fewbits: Command, factor: str):
    outcome = fewbits("cost", f"lenet*{factor}", "fixed8")
    if factor != "5e-324":  # a channel a layer
        refused(outcome)


def test_more_channels_than_addresses_reach_are_refused():
    with pytest.raises(ModelError, match=r"a layer would get \S+ channels: choose a smaller factor than 1e\+300"):
        models.widen(models.build("lenet"), 1e300)


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000, "fixed" + "9" * 5000])
@pytest.mark.parametrize("command", [("run",), ("formats",), ("report",), ("cost", "lenet")])
def test_a_name_without_end_is_cut_short_in_the_refusal(fewbits: Command, command: tuple[str, ...], name: str):
    outcome = fewbits(*command, name)
    refused(outcome)
    assert len(outcome.err) < 1500


@pytest.mark.parametrize("node", [0.0, -1.0, math.nan, math.inf, 5e-324, 1e308])
def test_a_senseless_node_is_refused(fewbits: Command, node: float):
    refused(fewbits("cost", "lenet", "fixed8", "--node", str(node)), "nm")


NUMBERS = (True, False, math.nan, math.inf, -math.inf, 10**400, -(10**400), 10**5000, -1, "", "1", None, b"1", 1j, [1])
"""None of them is a size, a rate or a part; 10**5000 cannot even be printed."""


@pytest.mark.parametrize("name", [one.name for one in fields(TrainSettings) if one.type in ("int", "float")])
@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_training_takes_no_senseless_number(name: str, value: object):
    with pytest.raises(ModelError):
        TrainSettings(**{name: value})  # pyright: ignore


@pytest.mark.parametrize("name", [one.name for one in fields(RecipeOptions)])
@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_a_recipe_takes_no_senseless_number(name: str, value: object):
    with pytest.raises(ModelError):
        RecipeOptions(**{name: value})  # pyright: ignore


@pytest.mark.parametrize("name", [one.name for one in fields(Accelerator)])
@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_an_accelerator_takes_no_senseless_number(name: str, value: object):
    if (name, value) != ("bandwidth", None):  # as much as the layers need
        with pytest.raises(HardwareError):
            Accelerator(**{name: value})  # pyright: ignore


@pytest.mark.parametrize("value", [value for value in NUMBERS if value is not None], ids=lambda v: type(v).__name__)
def test_the_library_takes_no_senseless_number(value: Any):
    for call in (
        lambda: models.widen(models.build("mlp"), value),
        lambda: models.build("mlp", value),
        lambda: data.load("digits", validation_fraction=value),
        lambda: design("fixed8", product_bits=value),
    ):
        with pytest.raises(FewbitsError):
            call()
