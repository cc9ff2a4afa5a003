"""Measure what approximate products cost LeNet on the digits, before and after fine-tuning through them.

    python scripts/measure_approximations.py

Prints a table for docs/approximate.md: accuracy on the test images of the bit-exact network.
"""

from __future__ import annotations

import argparse

import fewbits as fb
from fewbits.formats import parse_precision
from fewbits.formats.approximations import approximation
from fewbits.formats.product_errors import product_errors

NAMES = {
    "fixed8": ("exact", "truncated-6", "truncated-8", "broken-array-8-3", "perforated-3", "mitchell"),
    "fixed4": ("exact", "truncated-2", "truncated-3", "broken-array-2-1", "perforated-1", "mitchell"),
}
"""What is measured at each precision."""


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--float-epochs", type=int, default=8)
    given = parser.parse_args()
    data = fb.data.load("digits")
    model = fb.models.build("lenet", seed=0)
    record = fb.train.train_float(model, data, fb.train.TrainSettings(epochs=given.float_epochs), seed=0)
    print(f"float32: {record.best_validation_accuracy_percent:.1f} % on validation images", flush=True)
    images, labels = data.inputs(data.test), data.test.labels
    settings = fb.train.TrainSettings(epochs=given.epochs)
    print("| precision | products | mean absolute error | before | after |\n|---|---|---|---|---|")
    for precision, names in NAMES.items():
        formats = parse_precision(precision)
        for name in names:
            accuracies: list[float] = []
            for recipe in ("post-training", "fine-tune"):
                trained, _ = fb.train.run_recipe(recipe, model, precision, data, settings, products=name)
                classes = fb.lower(trained, images[:1]).predict(images)
                accuracies.append(100 * float((classes == labels).double().mean()))
            errors = product_errors(approximation(name, formats.weights, formats.inputs))
            before, after = accuracies
            print(
                f"| {precision} | {name} | {100 * errors.mean_absolute_share:.2f} % | {before:.1f} % | {after:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
