"""Images a second that fewbits trains, beside a plain PyTorch loop on the same network and images.

Timed are the batches of an epoch after the first: not calibration, validation and checkpoint, which a short epoch would
count too much. Fewbits trains as in a study: channels last, the fused optimizer, batches looked up from uint8 images
into one buffer, the loss checked at each step. The plain loop is what one writes first: a DataLoader over normalized
float images, the default memory layout and optimizer. The contestants take turns, so that a busy machine slows all
alike; a ratio is the median over the rounds.

    python benchmarks/train_epoch.py [NETWORK ...] [--rounds 7] [--images 2048] [--precision NAME ...] [--json FILE]

The workers of a study let malloc reuse freed pages; to time as they do, set MALLOC_MMAP_MAX_=0 and
MALLOC_TRIM_THRESHOLD_=1099511627776 (glibc's mallopt(3)).
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fewbits.data import Dataset, Split
from fewbits.errors import ModelError
from fewbits.models import build, input_shape
from fewbits.train import Progress, TrainSettings, run_recipe, train_float

BATCH = 64

Epoch = Callable[[], float]
"""Trains an epoch; seconds of its batches after the first."""


def noise(network: str, images: int) -> Dataset:
    """Random images of the shape that a network takes, with random labels; one batch for validation."""
    shape = input_shape(network)
    if shape is None:
        raise ModelError(f"{network!r} does not say its input's shape: give it an attribute input_shape")
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        pixels = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        return Split(pixels, torch.randint(0, 10, (count,), generator=generator))

    mean, std = ((0.0,), (1.0,)) if shape[0] == 1 else ((0.5,) * shape[0], (0.25,) * shape[0])
    return Dataset("noise", 10, split(images), split(BATCH), split(BATCH), mean, std)


def plain_epoch(network: str, data: Dataset) -> Epoch:
    """The loop that one writes first."""
    model = build(network, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    tensors = TensorDataset(data.inputs(data.train), data.train.labels)
    loader = DataLoader(tensors, batch_size=BATCH, shuffle=True)

    def epoch() -> float:
        start = 0.0
        for batch, (inputs, labels) in enumerate(loader):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            start = time.perf_counter() if batch == 0 else start
        return time.perf_counter() - start

    return epoch


class Stopwatch:
    """Takes a training's progress and notes when its first and its last batch was done."""

    def __init__(self) -> None:
        self.done: dict[int, float] = {}

    def __call__(self, progress: Progress) -> None:
        """Note a batch, once: validation tells the last one again."""
        self.done.setdefault(progress.batch, time.perf_counter())

    @property
    def seconds(self) -> float:
        """From the first batch to the last."""
        return max(self.done.values()) - min(self.done.values())


def float_epoch(network: str, data: Dataset, **how: object) -> Epoch:
    """An epoch of fewbits in float."""
    settings = TrainSettings(epochs=1, batch_size=BATCH, learning_rate=0.001, **how)  # pyright: ignore[reportArgumentType]
    fresh = build(network, seed=0)

    def epoch() -> float:
        watch = Stopwatch()
        train_float(copy.deepcopy(fresh), data, settings, progress=watch)
        return watch.seconds

    return epoch


def recipe_epoch(network: str, data: Dataset, precision: str, **how: object) -> Epoch:
    """An epoch of fine-tuning at a precision."""
    settings = TrainSettings(epochs=1, batch_size=BATCH, learning_rate=0.001, **how)  # pyright: ignore[reportArgumentType]
    fresh = build(network, seed=0)

    def epoch() -> float:
        watch = Stopwatch()
        run_recipe("fine-tune", fresh, precision, data, settings, progress=watch)
        return watch.seconds

    return epoch


def measure(epochs: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Seconds an epoch, by contestant and round."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for turn in range(rounds + 1):
        for name, epoch in epochs.items():
            seconds = epoch()
            if turn:  # the first round compiles and warms up
                times[name].append(seconds)
    return times


def main() -> None:
    """Measure and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=["lenet", "alex"], help="as fewbits.models.builder takes them")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=2048, help="of an epoch")
    parser.add_argument("--precision", nargs="*", default=["fixed8", "binary/fixed16"])
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for network in arguments.networks:
        data = noise(network, arguments.images)
        epochs = {
            "plain PyTorch": plain_epoch(network, data),
            "fewbits float": float_epoch(network, data),
            "fewbits float, cropped and flipped": float_epoch(network, data, random_flip=True, crop_padding=2),
            **{f"fewbits {name}": recipe_epoch(network, data, name) for name in arguments.precision},
            "fewbits float, mixed precision": float_epoch(network, data, mixed_precision=True),
            **{
                f"fewbits {name}, mixed precision": recipe_epoch(network, data, name, mixed_precision=True)
                for name in arguments.precision
            },
        }
        times = measure(epochs, arguments.rounds)
        found[network] = {
            name: {
                "images_a_second": round((arguments.images - BATCH) / statistics.median(seconds), 1),
                "speed_to_plain": round(
                    statistics.median(a / b for a, b in zip(times["plain PyTorch"], seconds, strict=True)), 3
                ),
            }
            for name, seconds in times.items()
        }
        print(f"{network}, batch {BATCH}, one thread, {arguments.rounds} rounds; torch {torch.__version__}")
        print(f"{'':42}{'images/s':>10}{'to plain':>10}")
        for name, figure in found[network].items():
            print(f"{name:42}{figure['images_a_second']:10.0f}{figure['speed_to_plain']:10.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
