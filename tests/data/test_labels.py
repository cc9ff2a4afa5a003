"""Labels of every kind become classes by one rule for both parts, or are refused with the mend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits import DataError
from fewbits.data.labels import ClassNumbers, class_numbers

WHERE = ("y_train", "y_test")


def mapped(train: Any, test: Any) -> ClassNumbers:
    return class_numbers([np.asarray(train), np.asarray(test)], WHERE)


def test_numbers_from_0_stay_without_a_note() -> None:
    found = mapped([0, 1, 2, 1], [2, 0])
    assert (found.parts[0].tolist(), found.parts[1].tolist(), found.notes) == ([0, 1, 2, 1], [2, 0], ())


def test_numbers_from_1_count_one_less_and_say_so() -> None:
    found = mapped([1, 2, 3], [3, 1])
    assert (found.parts[0].tolist(), found.parts[1].tolist()) == ([0, 1, 2], [2, 0])
    assert found.notes == ("labels 1 to 3 taken as classes 0 to 2",)


def test_test_labels_that_begin_at_another_number_are_mapped_as_those_of_training() -> None:
    assert mapped([1, 2, 3], [2, 3]).parts[1].tolist() == [1, 2]


def test_a_zero_in_the_test_part_alone_keeps_all_labels() -> None:
    found = mapped([1, 2, 3, 1], [0, 1])
    assert (found.parts[0].tolist(), found.parts[1].tolist()) == ([1, 2, 3, 1], [0, 1])
    assert found.notes == ("no training image is of class 0",)


def test_gaps_in_the_numbers_are_named() -> None:
    found = mapped([0, 1, 4, 0, 1], [4])
    assert (found.parts[0].tolist(), found.notes) == ([0, 1, 4, 0, 1], ("no training image is of class 2, 3",))


@pytest.mark.parametrize(
    ("train", "test", "expected", "note"),
    [
        ([7, 3, 9], [9, 3], ([1, 0, 2], [2, 0]), "labels 3, 7, 9 taken as classes 0 to 2, in their order"),
        ([-1, 1, 1], [1, -1], ([0, 1, 1], [1, 0]), "labels -1, 1 taken as classes 0 to 1, in their order"),
        (["dog", "cat"], ["cat"], ([1, 0], [0]), "labels 'cat', 'dog' taken as classes 0 to 1, in the order of text"),
        (["2", "10"], ["2"], ([1, 0], [1]), "labels '10', '2' taken as classes 0 to 1, in the order of text"),
        ([b"b", b"a"], [b"a"], ([1, 0], [0]), "labels 'a', 'b' taken as classes 0 to 1, in the order of text"),
        ([True, False], [True], ([1, 0], [1]), "labels False, True taken as classes 0 to 1, False first"),
        (
            [[0, 1], [1, 0]],
            [[0, 1]],
            ([1, 0], [1]),
            "one-hot labels taken as classes 0 to 1, the number of their column",
        ),
    ],
)
def test_other_labels_are_numbered_and_the_numbers_said(train: Any, test: Any, expected: Any, note: str) -> None:
    found = mapped(train, test)
    assert (found.parts[0].tolist(), found.parts[1].tolist()) == expected
    assert found.parts[0].dtype == found.parts[1].dtype == np.int64
    assert found.notes == (note,)


def test_many_texts_are_counted_not_listed() -> None:
    texts = [f"class {number}" for number in range(30)]
    assert mapped(texts, texts[:1]).notes[0].startswith("labels 'class 0', 'class 1', 'class 10', 'class 11', ")
    assert "and 25 more taken as classes 0 to 29" in mapped(texts, texts[:1]).notes[0]


def test_texts_name_the_classes() -> None:
    assert mapped(["dog", "cat"], ["cat"]).names == ("cat", "dog")


def test_a_class_that_only_columns_show_is_a_class() -> None:
    found = mapped([[1, 0, 0], [0, 1, 0], [0, 1, 0]], [[0, 0, 1]])
    assert (len(found.names), found.parts[1].tolist()) == (3, [2])
    assert "no training image is of class 2" in found.notes


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int16, np.uint64, ">i4"])
def test_whole_numbers_of_any_type_are_labels(dtype: Any) -> None:
    assert mapped(np.array([0, 1, 2], dtype), np.array([2], dtype)).parts[0].tolist() == [0, 1, 2]


def test_columns_of_one_are_plain_labels() -> None:
    assert mapped([[0], [1]], [[1]]).parts[1].tolist() == [1]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0, 1.5], [0], r"y_train holds 1.5, which is no class: labels must be whole numbers"),
        ([0, 1], [float("nan")], r"y_test holds NaN or infinity: leave these images out"),
        ([0, -1, 3], [0], r"reach from -1 to 3: a negative label mostly marks an image without one; leave such"),
        (
            np.array([0, 2**63], np.uint64),
            [0],
            r"reaches from 0 to 9223372036854775808, which are no classes: ",
        ),
        (
            [[0.2, 0.8], [0, 1]],
            [[0, 1]],
            r"y_train is N x 2 but not one-hot: row 0 is \[0.2, 0.8\]; store one label an",
        ),
        ([[1, 1], [0, 1]], [[0, 1]], r"not one-hot: row 0 is \[1, 1\]"),
        ([[0, 0], [0, 1]], [[0, 1]], r"not one-hot: row 0 is \[0, 0\]"),
        ([[0, 1], [1, 0]], [[0, 1, 0]], r"y_train has 2 columns but y_test 3"),
        ([[0, 1], [1, 0]], [0, 1], r"y_train holds one-hot but y_test holds numbers: store all alike"),
        (["0", "1"], [0, 1], r"y_train holds text but y_test holds numbers: store all alike"),
        (["cat", "dog"], ["cats"], r"y_test holds 'cats', which no training image has .*; did you mean 'cat'\?"),
        ([3, 7], [8], r"y_test holds 8, which no training image has \(y_train\): train on images of each class"),
        ([b"\xff"], [b"a"], r"y_train holds byte strings that are not UTF-8"),
        ([[[0]]], [0], r"y_train must be N labels .*, not int64 of \(1, 1, 1\)"),
        ([["a", "b"]], ["a"], r"y_train must be N labels .*, not <U1 of \(1, 2\)"),
        ([1j], [0], r"y_train must be N labels .*, not complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), [0], r"y_train must be N labels .*, not datetime64"),
        (5, [0], r"y_train must be N labels .*, not int64 of \(\)"),
    ],
)
def test_what_is_no_label_is_refused(train: Any, test: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        mapped(train, test)
    assert "\n" not in str(raised.value)


@given(st.data())
def test_equal_labels_are_one_class_in_both_parts(data: st.DataObject) -> None:
    values = st.one_of(st.integers(0, 12), st.integers(1, 12), st.integers(5, 99), st.text(min_size=1, max_size=3))
    train = data.draw(st.lists(values, min_size=1).filter(lambda labels: len({type(label) for label in labels}) == 1))
    train = [label for label in train if not str(label).endswith("\0")]  # numpy drops zeros at the end of a text
    if not train:
        return
    test = data.draw(st.lists(st.sampled_from(train), min_size=1))
    found = mapped(train, test)
    pairs = [*zip(train, found.parts[0].tolist(), strict=True), *zip(test, found.parts[1].tolist(), strict=True)]
    assert len(set(pairs)) == len({label for label, _ in pairs}) == len({number for _, number in pairs})
    assert min(found.parts[0]) >= 0
