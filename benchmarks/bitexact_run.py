"""Images per second of bit-exact networks, relative to the float model in plain PyTorch.

Rounds are interleaved, so that a slow moment of the machine meets every network; medians over the rounds. The float
model runs in PyTorch's default layout; `channels-last` is the same model in the layout that suits it best.

    python benchmarks/bitexact_run.py [--model lenet] [--batch 256] [--rounds 15] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import fewbits as fb
from fewbits import models

PRECISIONS = ("fixed4", "fixed8", "fixed16", "fixed32", "pow2-6/fixed16", "binary/fixed16", "float32")


def main() -> None:
    """Measure and print one line for each network."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.randn(arguments.batch, *models.input_shape(arguments.model))
    runs = _runs(arguments.model, images)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
        run()
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"{arguments.model}, batch {arguments.batch}, {arguments.threads} thread(s), median of {arguments.rounds}")
    reference = statistics.median(times["float model"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:16} {arguments.batch / median:9.0f} images/s   {reference / median:5.2f} x float model")


def _runs(model_name: str, images: Tensor) -> dict[str, Callable[[], object]]:
    """What to time, by name."""
    model = models.build(model_name, seed=0).eval()
    channels_last = models.build(model_name, seed=0).eval().to(memory_format=torch.channels_last)
    images_channels_last = images.contiguous(memory_format=torch.channels_last)
    runs: dict[str, Callable[[], object]] = {
        "float model": torch.inference_mode()(lambda: model(images)),
        "channels-last": torch.inference_mode()(lambda: channels_last(images_channels_last)),
    }
    for precision in PRECISIONS:
        quantized = fb.quantize(model, precision)
        fb.calibrate(quantized, images[:64])
        network = fb.lower(quantized, images[0])
        runs[precision] = lambda network=network: network.run(images)
    return runs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
