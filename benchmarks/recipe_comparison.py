"""Compare recipes at equal epochs on a part of a data set, by validation accuracy alone: how `best` was chosen.

The float network is trained first, or read; then each recipe trains at each precision, one thread, one seed. Prints one
Markdown row each; the test images are never looked at.

    python benchmarks/recipe_comparison.py --data cifar10 --model alex --epochs 4 fixed4:fine-tune fixed4:distill-lsq
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from fewbits import data, models
from fewbits.data import Dataset, Split
from fewbits.errors import FewbitsError
from fewbits.train import RecipeOptions, TrainSettings, evaluate, run_recipe, train_float


def part_of(dataset: Dataset, images: int, validation: int) -> Dataset:
    """The first images of the training and validation splits."""
    train, held_out = dataset.train, dataset.validation
    return replace(
        dataset,
        name=f"{dataset.name}, {images} images",
        train=Split(train.images[:images], train.labels[:images]),
        validation=Split(held_out.images[:validation], held_out.labels[:validation]),
    )


def float_network(arguments: argparse.Namespace, dataset: Dataset) -> nn.Module:
    """The trained float network: from a file of weights (a checkpoint's best ones, if it is one), or trained now."""
    network = models.build(arguments.model, arguments.seed)
    if arguments.float is None:
        settings = TrainSettings(epochs=arguments.float_epochs, learning_rate=arguments.learning_rate)
        train_float(network, dataset, settings, arguments.seed)
        return network
    tensors = load_file(arguments.float)
    best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
    network.load_state_dict({name: value.contiguous() for name, value in (best or tensors).items()})
    return network


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("points", nargs="*", metavar="PRECISION:RECIPE", default=["fixed4:fine-tune", "fixed4:distill"])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--validation", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--float-epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--flip", action="store_true", help="mirror half of the training images")
    parser.add_argument("--crop-padding", type=int, default=0)
    parser.add_argument("--equalize", action="store_true", help="start from equalized channels")
    parser.add_argument("--mixed-precision", action="store_true", help="multiply in bfloat16 while training")
    parser.add_argument("--temperature", type=float, default=RecipeOptions.temperature)
    parser.add_argument("--distillation-weight", type=float, default=RecipeOptions.distillation_weight)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float", type=Path, help="safetensors file of the float network's weights, or a checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = part_of(data.load(arguments.data), arguments.images, arguments.validation)
    network = float_network(arguments, dataset)
    accuracy = evaluate(network, dataset, dataset.validation).accuracy_percent
    print(f"{arguments.model} on {dataset.name}; float32: {accuracy:.2f} % of {len(dataset.validation)}\n")
    print("| precision | recipe | best epoch [%] | all epochs [%] | processor time [s] |")
    print("| --- | --- | ---: | --- | ---: |", flush=True)
    settings = TrainSettings(
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        random_flip=arguments.flip,
        crop_padding=arguments.crop_padding,
        equalize_channels=arguments.equalize,
        mixed_precision=arguments.mixed_precision,
    )
    options = RecipeOptions(arguments.temperature, arguments.distillation_weight)
    for point in arguments.points:
        precision, _, recipe = point.partition(":")
        start = time.process_time()
        try:
            _, record = run_recipe(recipe, network, precision, dataset, settings, arguments.seed, options=options)
        except FewbitsError as error:
            print(f"| {precision} | {recipe} | failed: {error} | | |", flush=True)
            continue
        epochs = ", ".join(f"{epoch.validation_accuracy_percent:.1f}" for epoch in record.history)
        best, seconds = record.best_validation_accuracy_percent, time.process_time() - start
        print(f"| {precision} | {recipe} | {best:.2f} | {epochs} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
