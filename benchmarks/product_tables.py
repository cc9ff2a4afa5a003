"""Time networks whose products are those of tables against the same networks with exact ones.

    make bench SCRIPT=benchmarks/product_tables.py

Both are computed by turns, one thread each; the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import fewbits as fb


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append")
    parser.add_argument("--precision", default="fixed8")
    parser.add_argument("--product", default="truncated-6")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.model or ["lenet", "convnet", "resnet8"]:
        shape = fb.models.input_shape(name)
        images = torch.randn(given.images, *shape, generator=torch.Generator().manual_seed(0))
        model = fb.fold_batch_norm(fb.models.build(name, seed=0).eval())
        quantized = fb.calibrate(fb.quantize(model, given.precision), images[:64])
        exact = fb.lower(quantized, images[:1])
        tables = fb.lower(quantized, images[:1], products=given.product)
        seconds = {network: [_seconds(network, images)] for network in (exact, tables)}
        for network in seconds:
            seconds[network].clear()  # the first runs compile and prepare
        for _ in range(given.turns):
            for network, measured in seconds.items():
                measured.append(_seconds(network, images))
        ratios = [a / b for a, b in zip(seconds[exact], seconds[tables], strict=True)]
        medians = [statistics.median(seconds[network]) / given.images * 1e6 for network in (exact, tables)]
        print(
            f"{name} {given.precision}, {given.product}: {medians[0]:.0f} us an image with exact products, "
            f"{medians[1]:.0f} with tables; speed {statistics.median(ratios):.2f} of the exact one's "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _seconds(network: fb.BitExactNetwork, images: torch.Tensor) -> float:
    start = time.perf_counter()
    network.run(images)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
