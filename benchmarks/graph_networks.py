"""Compare bit-exact with fake-quantized networks on real images: a residual, a depthwise, a plain network and an MLP.

Each is trained in float for some epochs on part of a data set, its batch normalization folded, then quantized without
further training; both forms class the same test images.

    python benchmarks/graph_networks.py [--networks resnet20 vgg] [--data cifar10] [--train 4000] [--test 1000]
"""

from __future__ import annotations

import argparse
import dataclasses

import torch
from torch import nn

import fewbits as fb
from fewbits import data, models
from fewbits.data import Dataset, Split
from fewbits.train import TrainSettings, evaluate, train_float

PRECISIONS = ("float32", "fixed16", "fixed8", "fixed4", "pow2-6/fixed16", "binary/fixed16")
COLUMNS = ("network", "precision", "radix points", "fake-quantized [%]", "bit-exact [%]", "differing", "first found")


def main() -> None:
    """Train, compare, print a Markdown table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    dataset = _part(data.load(arguments.data), arguments.train, arguments.test)
    print(f"{arguments.data}: {len(dataset.train)} training and {len(dataset.test)} test images", flush=True)
    _print_row(*COLUMNS)
    _print_row(*("---",) * len(COLUMNS))
    for name in arguments.networks:
        model = models.build(name, seed=0)
        train_float(model, dataset, TrainSettings(epochs=arguments.epochs), 0)
        folded = fb.fold_batch_norm(model).eval()
        before, after = (evaluate(one, dataset, dataset.test).accuracy_percent for one in (model, folded))
        _print_row(name, "float: folding", "", f"{before:.2f} before", f"{after:.2f} after", "", "")
        for precision in PRECISIONS:
            _compare(name, folded, precision, dataset, per_channel=False)
            if precision in ("fixed4", "binary/fixed16"):
                _compare(name, folded, precision, dataset, per_channel=True)


def _compare(name: str, model: nn.Module, precision: str, dataset: Dataset, *, per_channel: bool) -> None:
    """One row of the table."""
    images, labels = dataset.inputs(dataset.test), dataset.test.labels
    quantized = fb.quantize(model, precision, per_channel=per_channel).eval()
    fb.calibrate(quantized, dataset.inputs(dataset.train.images[:256]))
    network = fb.lower(quantized, images[:1])
    exact = network.predict(images)
    fake = evaluate(quantized, dataset, dataset.test)
    accuracy = 100 * float((exact == labels).double().mean())
    found = fb.first_difference(quantized, network, images[:16])
    where = "none" if found is None else f"{found.layer}, {found.place}: {found.last_places:.2g} last places"
    differing = str(int((exact != fake.predictions).sum()))
    points = "per channel" if per_channel else "per layer"
    _print_row(name, precision, points, f"{fake.accuracy_percent:.2f}", f"{accuracy:.2f}", differing, where)


def _print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def _part(dataset: Dataset, train: int, test: int) -> Dataset:
    """The first images of a data set's training, validation and test splits."""

    def first(split: Split, count: int) -> Split:
        return Split(split.images[:count], split.labels[:count])

    return dataclasses.replace(
        dataset,
        train=first(dataset.train, train),
        validation=first(dataset.validation, test),
        test=first(dataset.test, test),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=["resnet20", "mobilenet-small", "vgg"])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--train", type=int, default=4000)
    parser.add_argument("--test", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
