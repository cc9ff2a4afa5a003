"""A notice on labels that tell no network from another."""

from __future__ import annotations

from fewbits.data import Dataset, Split


def one_class_notice(data: Dataset, split: Split, images: str) -> str | None:
    """What to say where all images of a split are of one class; None elsewhere. images: what they are called."""
    if len(split) == 0 or bool((split.labels != split.labels[0]).any()):
        return None
    return (
        f"all {len(split)} {images} of {data.name!r} are of class {int(split.labels[0])}: a network that always "
        "answers so is right on each, and their accuracy tells nothing"
    )
