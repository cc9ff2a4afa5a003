"""Where the channels are is told by the shape, or refused; integers of any type are pixels."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits import DataError
from fewbits.data.layout import all_channels_first, channels_first


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((28, 28), (1, 28, 28)),
        ((1, 28, 28), (1, 28, 28)),
        ((28, 28, 1), (1, 28, 28)),
        ((3, 32, 32), (3, 32, 32)),
        ((32, 32, 3), (3, 32, 32)),
        ((3, 20, 48), (3, 20, 48)),
        ((20, 48, 3), (3, 20, 48)),
        ((12, 64, 64), (12, 64, 64)),
        ((64, 64, 12), (12, 64, 64)),
        ((2, 8, 8), (2, 8, 8)),
        ((4, 4, 3), (3, 4, 4)),
        ((1, 1, 28), (1, 1, 28)),
        ((2, 32, 3), (3, 2, 32)),
        ((1, 1, 1), (1, 1, 1)),
    ],
)
def test_the_shape_tells_the_channels(stored: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert channels_first(np.zeros((5, *stored), np.uint8), "x").images.shape == (5, *expected)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (1, 28, 1), (3, 28, 1), (1, 28, 3), (3, 28, 3), (4, 4, 4), (8, 4, 8)])
def test_a_shape_that_fits_both_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="may be channels x H x W or H x W x channels: state the layout, NCHW or NHWC"):
        channels_first(np.zeros((5, *sizes), np.uint8), "x")


@pytest.mark.parametrize(("layout", "expected"), [("NCHW", (3, 4, 5)), ("NHWC", (5, 3, 4))])
def test_a_stated_layout_counts(layout: str, expected: tuple[int, ...]) -> None:
    found = channels_first(np.zeros((2, 3, 4, 5), np.uint8), "x", layout=layout)
    assert found.images.shape == (2, *expected)
    assert found.notes == ()


def test_pixels_keep_their_place() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    assert np.array_equal(channels_first(images, "x").images[1, 2], images[1, :, :, 2])
    assert np.array_equal(channels_first(images.transpose(0, 3, 1, 2), "x").images[1, 2], images[1, :, :, 2])


def test_nothing_is_copied_of_pixels_that_need_no_change() -> None:
    images = np.zeros((2, 6, 5, 3), np.float32)
    assert np.shares_memory(channels_first(images, "x").images, images)


def test_the_note_says_what_was_found() -> None:
    notes = channels_first(np.zeros((2, 3, 8, 8), np.uint8), "x").notes
    assert notes == ("images are stored as N x channels x H x W (NCHW, told by the shape)",)


@pytest.mark.parametrize(("top", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_wide_integers_become_the_type_that_holds_them(top: int, dtype: type) -> None:
    found = channels_first(np.array([[[0, top]]], np.int64), "x")
    assert found.images.dtype == dtype
    assert found.notes == (f"int64 images from 0 to {top} taken as {np.dtype(dtype)}",)


def test_both_parts_get_the_wider_type() -> None:
    train, test = np.array([[[0, 300]]]), np.array([[[0, 7]]])
    (first, second), _ = all_channels_first([train, test], ("a", "b"))
    assert (first.dtype, second.dtype, second.tolist()) == (np.uint16, np.uint16, [[[[0, 7]]]])


def test_booleans_are_black_and_white() -> None:
    assert channels_first(np.array([[[True, False]]]), "x").images.tolist() == [[[[255, 0]]]]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 784), np.uint8), r"not \(5, 784\); reshape flat images to N x H x W"),
        (np.zeros((5, 1, 1, 8, 8), np.uint8), r"not \(5, 1, 1, 8, 8\)$"),
        (np.array([[[-1]]]), "int64 from -1 to -1: integers must lie in 0 to 255 or 0 to 65535"),
        (np.array([[[70000]]]), "int64 from 0|int64 from 70000 to 70000"),
        (np.zeros((1, 2, 2), complex), "must hold numbers, such as uint8, not complex128"),
        (np.array([[["a"]]]), "must hold numbers, such as uint8, not <U1"),
    ],
)
def test_what_are_no_images_is_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        channels_first(images, "x")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(DataError, match="layout 'CHWN' is not known: give one of NCHW, NHWC"):
        channels_first(np.zeros((5, 3, 8, 8), np.uint8), "x", layout="CHWN")
