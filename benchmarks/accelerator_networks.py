"""Run whole networks on the simulated accelerator and compare sums, cycles and buffer accesses with what is expected.

Networks have their initial weights and radix points from the images; the images are the first ones of the test set, put
in the middle of the network's frame where they are smaller. Time is processor time of one thread.

    python benchmarks/accelerator_networks.py [--networks lenet alex] [--precisions fixed4] [--data svhn] [--images 20]
"""

from __future__ import annotations

import argparse
import os

import numpy as np
import torch
from torch import nn

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.scheduling import schedule, total_accesses
from fewbits.hardware.dataflow.diannao.simulation import AcceleratorSimulator
from fewbits.hardware.dataflow.network_simulation import Run
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.workload.networks import workload_of

COLUMNS = ("network", "precision", "images", "cycles an image", "equal", "to compile [s]", "an image [s]")


def main() -> None:
    """Print a Markdown table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    dataset = data.load(arguments.data)
    images = dataset.inputs(dataset.test.images[: arguments.images])
    _print_row(*COLUMNS)
    _print_row(*("---",) * len(COLUMNS))
    for precision in arguments.precisions:
        start = processor_time()
        simulator = AcceleratorSimulator(design(precision), Accelerator())
        ready = processor_time() - start
        for name in arguments.networks:
            network = lowered(name, precision, framed(images, models.input_shape(name)))
            _compare(name, network, simulator, framed(images, models.input_shape(name)), ready)
            ready = 0.0


def _compare(
    name: str, network: BitExactNetwork, simulator: AcceleratorSimulator, images: torch.Tensor, ready: float
) -> None:
    """One row of the table."""
    made, accelerator = simulator.design, simulator.accelerator
    plan = schedule(workload_of(network), accelerator, pipeline(made, accelerator))
    start = processor_time()
    runs = simulator.run(network, images)
    each = (processor_time() - start) / len(images)
    sums = network.accumulators(images)
    differing = sum(not equal(run, plan, one) for run, one in zip(runs, sums, strict=True))
    verdict = "yes" if differing == 0 else f"{differing} images differ"
    _print_row(name, made.name, str(len(images)), str(plan.cycles), verdict, f"{ready:.1f}", f"{each:.2f}")


def equal(run: Run, plan: Schedule, sums: object) -> bool:
    """Whether sums, cycles and accesses of all buffers are those expected."""
    return (run.logits, run.cycles, run.accesses) == (
        np.asarray(sums).ravel().tolist(),
        plan.cycles,
        total_accesses(plan),
    )


def lowered(name: str, precision: str, images: torch.Tensor) -> BitExactNetwork:
    """The network with its initial weights."""
    quantized = fb.quantize(models.build(name, seed=1), precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1])


def framed(images: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Images in the middle of a frame of a network's input shape; one channel becomes all."""
    channels, height, width = shape
    left, above = (width - images.shape[-1]) // 2, (height - images.shape[-2]) // 2
    frame = (left, width - images.shape[-1] - left, above, height - images.shape[-2] - above)
    return nn.functional.pad(images, frame).expand(-1, channels, -1, -1).contiguous()


def processor_time() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=["lenet"])
    parser.add_argument("--precisions", nargs="*", default=["fixed4"])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
