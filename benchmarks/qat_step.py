"""Time a step of quantization-aware training against a float step, network by network: fewbits and its peers.

A step is forward, loss, backward, optimizer. The contestants take turns, round after round, so that a busy machine
slows all of them alike; each one's figure is the median over the rounds of its ratio to the float step of the same
round. Peers that are not installed are named with the reason.

    python benchmarks/qat_step.py [NETWORK ...] [--rounds 40] [--only TEXT ...] [--json FILE]

A NETWORK is what `fewbits.models.builder` takes; LeNet, ALEX and ResNet-20 if none is given.

The workers of a study let malloc reuse freed pages; to time a step as they take it, set MALLOC_MMAP_MAX_=0 and
MALLOC_TRIM_THRESHOLD_=1099511627776 (glibc's mallopt(3)).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits
from fewbits.errors import ModelError
from fewbits.models import build, input_shape

BATCH = 64
STEPS = 4
"""Steps of one contestant before the next takes its turn."""

DEFAULT = ("lenet", "alex", "resnet20")

Step = Callable[[], None]


@dataclass(frozen=True)
class Problem:
    """A network to train and the images that it takes."""

    network: str

    def model(self) -> nn.Module:
        """The network, with the same weights for each contestant."""
        return build(self.network, seed=0)

    def images(self, layout: torch.memory_format) -> tuple[Tensor, Tensor]:
        """A batch of images and their labels."""
        shape = input_shape(self.network)
        if shape is None:
            raise ModelError(f"{self.network!r} does not say its input's shape: give it an attribute input_shape")
        generator = torch.Generator().manual_seed(0)
        pixels = torch.rand(BATCH, *shape, generator=generator)
        return pixels.contiguous(memory_format=layout), torch.randint(0, 10, (BATCH,), generator=generator)

    def step_of(self, model: nn.Module, layout: torch.memory_format = torch.contiguous_format) -> Step:
        """One training step of a model, in a memory layout, with the optimizer that the recipes use."""
        model = model.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
        inputs, labels = self.images(layout)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

        def step() -> None:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()

        return step

    def fewbits_step(self, precision: str) -> Step:
        """Fewbits at a precision, in the layout that its recipes train in."""
        q = fewbits.quantize(self.model(), precision)
        fewbits.calibrate(q, self.images(torch.contiguous_format)[0])
        return self.step_of(q.train(), torch.channels_last)

    def replaced(self, kind: Callable[[nn.Module], nn.Module]) -> nn.Module:
        """The network with its convolution and linear layers replaced, wherever they stand."""
        model = self.model()
        for name, module in list(model.named_modules()):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, kind(module))
        return model

    def torchao_step(self) -> Step:
        """Torchao's pt2e flow with its 8-bit x86 quantizer, as far as this release ships one."""
        from torchao.quantization.pt2e import move_exported_model_to_train
        from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
        from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
            X86InductorQuantizer,
            get_default_x86_inductor_quantization_config,
        )

        inputs, _ = self.images(torch.contiguous_format)
        exported = torch.export.export(self.model(), (inputs,), strict=True).module()
        quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(is_qat=True))
        prepared = prepare_qat_pt2e(exported, quantizer)
        move_exported_model_to_train(prepared)
        return self.step_of(prepared)


class _NaiveEstimator(torch.autograd.Function):
    """What one writes first: round, clamp, and a mask, each a pass of its own."""

    @staticmethod
    def forward(ctx: object, x: Tensor, scale: float, low: int, high: int) -> Tensor:
        scaled = x * scale
        ctx.save_for_backward((scaled >= low) & (scaled <= high))  # type: ignore[attr-defined]
        return scaled.round().clamp(low, high) / scale

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * inside, None, None, None


def _apply(layer: nn.Conv2d | nn.Linear, x: Tensor, weight: Tensor) -> Tensor:
    """The layer with other weights."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, layer.bias)
    return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


class _NaiveLayer(nn.Module):
    """A layer with 8-bit weights and inputs by the naive estimator."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        x = _NaiveEstimator.apply(x, 2.0**5, -128, 127)
        weight = _NaiveEstimator.apply(self.layer.weight, 2.0**8, -128, 127)
        return _apply(self.layer, x, weight)


class _FakeQuantizeLayer(nn.Module):
    """A layer with 8-bit weights and inputs by torch's own fake quantization."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, 2.0**-5, 0, -128, 127)
        weight = torch.fake_quantize_per_tensor_affine(self.layer.weight, 2.0**-8, 0, -128, 127)
        return _apply(self.layer, x, weight)


def brevitas_layer(module: nn.Module) -> nn.Module:
    """Brevitas' 8-bit layer with a power-of-two scale for each tensor."""
    from brevitas import nn as bnn
    from brevitas.quant import Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint

    options = {"weight_quant": Int8WeightPerTensorFixedPoint, "input_quant": Int8ActPerTensorFixedPoint}
    if isinstance(module, nn.Linear):
        layer = bnn.QuantLinear(module.in_features, module.out_features, bias=True, **options)
    else:
        assert isinstance(module, nn.Conv2d)
        shape = {"stride": module.stride, "padding": module.padding, "bias": module.bias is not None}
        channels = (module.in_channels, module.out_channels, module.kernel_size)
        layer = bnn.QuantConv2d(*channels, groups=module.groups, **shape, **options)
    layer.weight.data.copy_(module.weight.data)
    return layer


def contestants(problem: Problem) -> dict[str, Callable[[], Step]]:
    """Name to what makes the step; both float layouts, since ours trains channels-last."""
    ours = ("fixed8", "fixed16", "fixed4", "pow2-6/fixed16", "binary/fixed16", "fp8-e4m3")
    last = torch.channels_last
    return {
        "float": lambda: problem.step_of(problem.model()),
        "float, channels last": lambda: problem.step_of(problem.model(), last),
        **{f"fewbits {name}": (lambda name=name: problem.fewbits_step(name)) for name in ours},
        "naive estimator": lambda: problem.step_of(problem.replaced(_NaiveLayer)),
        "naive estimator, channels last": lambda: problem.step_of(problem.replaced(_NaiveLayer), last),
        "torch.fake_quantize": lambda: problem.step_of(problem.replaced(_FakeQuantizeLayer)),
        "torch.fake_quantize, channels last": lambda: problem.step_of(problem.replaced(_FakeQuantizeLayer), last),
        "torchao pt2e": problem.torchao_step,
        "Brevitas": lambda: problem.step_of(problem.replaced(brevitas_layer).train()),
        "Brevitas, channels last": lambda: problem.step_of(problem.replaced(brevitas_layer).train(), last),
    }


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step, by contestant and round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            step()  # brings its own data into the caches
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            if turn >= 2:  # the first rounds warm up
                times[name].append((time.perf_counter() - start) / STEPS * 1e3)
    return times


def ratio(times: dict[str, list[float]], name: str, to: str) -> float:
    """Median over the rounds of the ratio of two contestants."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


def steps_of(problem: Problem, only: list[str] | None) -> dict[str, Step]:
    """The contestants that can be made here; the others are named with the reason."""
    steps: dict[str, Step] = {}
    for name, make in contestants(problem).items():
        if only and not name.startswith("float") and not any(text in name for text in only):
            continue
        try:
            steps[name] = make()
        except Exception as error:
            print(f"{name}: not measured ({type(error).__name__}: {str(error).splitlines()[0]})", file=sys.stderr)
    return steps


def figures_of(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Milliseconds a step and the ratios to both float steps, by contestant."""
    return {
        name: {
            "step_ms": round(statistics.median(times[name]), 2),
            "ratio_to_float": round(ratio(times, name, "float"), 3),
            "ratio_to_float_channels_last": round(ratio(times, name, "float, channels last"), 3),
        }
        for name in times
    }


def main() -> None:
    """Measure and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=DEFAULT, help="as fewbits.models.builder takes them")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", nargs="*", help="names that contain one of these texts, beside the float ones")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for network in arguments.networks:
        figures = figures_of(measure(steps_of(Problem(network), arguments.only), arguments.rounds))
        found[network] = figures
        print(f"{network}, batch {BATCH}, one thread, {arguments.rounds} rounds; torch {torch.__version__}")
        print(f"{'':36}{'ms/step':>9}{'to float':>10}{'to float, channels last':>25}")
        for name, figure in figures.items():
            step_ms, to_float, to_channels_last = figure.values()
            print(f"{name:36}{step_ms:9.2f}{to_float:10.3f}{to_channels_last:25.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
