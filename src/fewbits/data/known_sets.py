"""Which published data set a file's content is, told by counts and hashes: never by a file's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fewbits.data.dataset import Array, Arrays

CLASSES = 10
"""Of each of the sets below."""


@dataclass(frozen=True)
class KnownSet:
    """A published set, or a part of one, by what its arrays hold."""

    name: str
    """The name in the catalogue under which it is found."""

    title: str
    """What it is, in words."""

    counts: tuple[int, int]
    """Training and test images."""

    part: Literal["train_images", "train_labels", "test_images", "test_labels"]
    """The array whose bytes are hashed, as uint8 in the order N x channels x H x W."""

    sha256: str

    first: int | None = None
    """How many entries of the array are hashed; all of them if None."""

    notes: tuple[str, ...] = ()
    """What a reader of a result must know."""

    def fits(self, arrays: Arrays) -> bool:
        """Whether these arrays are the set."""
        counts = (len(arrays.train_labels), len(arrays.test_labels))
        if counts != self.counts or counts != (len(arrays.train_images), len(arrays.test_images)):
            return False
        array: Array = np.asarray(getattr(arrays, self.part)[: self.first])
        if array.dtype.kind not in "iu":
            return False
        content = np.ascontiguousarray(array, dtype=np.uint8)
        return bool((content == array).all()) and hashlib.sha256(content.data).hexdigest() == self.sha256


KNOWN: tuple[KnownSet, ...] = (
    KnownSet(
        "digits",
        "the embedded digits",
        (4_000, 1_000),
        "test_images",
        "d56570dfc0f5d6fd053cd18cd412021b5d0fdcd61502ec50cdd53e7ee62378f4",
        notes=(
            "5,000 images of MNIST's training part, re-split 4,000/1,000: not comparable with published MNIST "
            "accuracies",
        ),
    ),
    KnownSet(
        "mnist",
        "MNIST",
        (60_000, 10_000),
        "test_images",
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    ),
    KnownSet(
        "mnist",
        "a subset of MNIST",
        (4_000, 1_000),
        "test_images",
        "6973118ee26132cec5e8bca46303f598e8d7f3fd72a7056c43f828e761c432f0",
        notes=("a subset of MNIST (4,000/1,000): not comparable with published accuracies",),
    ),
    KnownSet(
        "fashion-mnist",
        "Fashion-MNIST",
        (60_000, 10_000),
        "test_images",
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    ),
    KnownSet(
        "fashion-mnist",
        "a subset of Fashion-MNIST",
        (4_000, 1_000),
        "test_images",
        "3d7f6d64869a3f2d1afe64ae33ffb9b20670a91b31e3bbf0657e3999ec7b35cf",
        notes=("a subset of Fashion-MNIST (4,000/1,000): not comparable with published accuracies",),
    ),
    KnownSet(
        "svhn",
        "SVHN",
        (73_257, 26_032),
        "test_labels",
        "7fe9bcc87dca833901548fff86f3af5d1dccf069e726ecef367b4a1476542ddf",
        first=10_000,
    ),
    KnownSet(
        "svhn",
        "a re-split of SVHN's test part",
        (7_600, 2_400),
        "test_labels",
        "84f335658a2cd55e24d9213e5d6327f87d08bc73fad0d09e66bfb5ae0bbdbeab",
        notes=(
            "a re-split of 10,000 images of SVHN's test part (7,600/2,400): not comparable with published accuracies",
            "validation images may show the same photograph as training images; test images do not",
            "for non-commercial use only",
        ),
    ),
    KnownSet(
        "cifar10",
        "CIFAR-10",
        (50_000, 10_000),
        "train_labels",
        "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    ),
)
"""Hashes are of the decoded arrays of the original files. Of SVHN and CIFAR-10 it is labels that are compared, in the
original order: copies of their images differ where one was decoded from JPEG."""


def identify(arrays: Arrays) -> KnownSet | None:
    """The set that these arrays are; None if they are nobody's but the user's."""
    return next((known for known in KNOWN if known.fits(arrays)), None)
