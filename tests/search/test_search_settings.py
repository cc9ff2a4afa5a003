"""What a search is asked for: every senseless value is refused in a line that says what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from fewbits.errors import FormatError, SearchError
from fewbits.search.settings import SearchSettings
from fewbits.search.space import parsed_precisions


@pytest.mark.parametrize("loss", [-1, -1e-9, float("nan"), float("inf"), 101, "1", None, True])
def test_a_loss_is_points_from_0_to_100(loss: Any):
    with pytest.raises(SearchError, match="a loss is points of accuracy from 0 to 100"):
        SearchSettings(max_loss_points=loss)


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        ((), "at least two precisions, not none"),
        (("fixed8",), "at least two precisions, not 'fixed8' alone"),
        (("fixed8", "fixed4", "fixed8"), "'fixed8' is given twice"),
        (("fixed8", ""), "leave out empty ones"),
        (("fixed8", " "), "leave out empty ones"),
        (("fixed8", 4), "not 4"),
        ("fixed8,fixed4", "are a list of precisions"),
        (None, "are a list of precisions"),
    ],
)
def test_formats_are_two_or_more_precisions_each_once(formats: Any, words: str):
    with pytest.raises(SearchError, match=words):
        SearchSettings(formats=formats)


@pytest.mark.parametrize("name", ["evaluations", "images"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "20", True, 2**31])
def test_counts_are_positive_integers(name: str, value: Any):
    with pytest.raises(SearchError, match=f"{name} is an integer of at least 1"):
        SearchSettings(**{name: value})


@pytest.mark.parametrize("value", [-1, 0.5, "1", None])
def test_epochs_are_integers_from_0(value: Any):
    with pytest.raises(SearchError, match="fine tune epochs is an integer of at least 0"):
        SearchSettings(fine_tune_epochs=value)


@pytest.mark.parametrize("name", ["objective", "datapaths", "score", "refine"])
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(name: str):
    with pytest.raises(SearchError, match=f"unknown {name} 'all': give one of "):
        SearchSettings(**{name: "all"})


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "mps", 0])
def test_an_unknown_device_is_refused(device: Any):
    with pytest.raises(SearchError, match="unknown device"):
        SearchSettings(device=device)


def test_the_reference_is_the_widest_precision_whatever_the_order():
    assert [one.name for one in parsed_precisions(("fixed3", "fixed8", "fixed4"))] == ["fixed8", "fixed4", "fixed3"]


def test_two_spellings_of_one_precision_are_refused():
    with pytest.raises(SearchError, match="'fixed8/fixed8' and 'fixed8' are one precision"):
        parsed_precisions(("fixed8", "fixed8/fixed8"))


def test_a_precision_without_arithmetic_is_refused_with_the_reason():
    with pytest.raises(SearchError, match="'fixed8/fp8-e4m3' cannot be searched with: two integer formats"):
        parsed_precisions(("fixed8", "fixed8/fp8-e4m3"))


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(FormatError, match=r"unknown format 'fixd8'.*did you mean fixed8"):
        parsed_precisions(("fixed4", "fixd8"))
