"""Which road captures which network, in what time: torch.fx's symbolic trace or torch.export.

    python benchmarks/trace_roads.py [--timm] [--cases ../shared/cases/networks.py]

For each network and road: milliseconds of processor time (the least of TRIES, the network built beforehand), and what
of it holds:
  eval, train   captured in evaluation and in training mode
  same          what was captured in evaluation gives the network's result on other images, three where two were traced
  names         each convolution and linear layer is found by its module's name (fx: a call of it; export: the module
                stack of the call that takes its weight)
  modules       layers are still modules, which `quantize` can replace and training can train
fx is fewbits' own reading (`graph/tracing.py`: in-place calls as values, hooks of the network, means as pooling);
export is torch.export.export, strict=False, with a batch of any size. A refused network has the first line of why.
`own` are networks of this project's tests of spellings; timm's models are built without weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.graph.modes import in_mode
from fewbits.graph.tracing import graph_of
from fewbits.models import build

TRIES = 3
HELD = ("eval", "train", "same", "names", "modules")

TIMM = (
    *("resnet18", "resnet50", "resnext50_32x4d", "seresnet50", "mobilenetv2_100", "mobilenetv3_small_100"),
    *(
        "efficientnet_b0",
        "regnety_002",
        "densenet121",
        "vgg11",
        "inception_v3",
        "dla34",
        "ghostnet_100",
        "convnext_atto",
    ),
    *("mixer_s32_224", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "levit_128s"),
    *("cait_xxs24_224", "poolformer_s12", "xcit_nano_12_p16_224"),
)
"""22 image classifiers: convolutions, gates, concatenations, mixers, transformers."""

Case = tuple[str, Callable[[], nn.Module], tuple[int, ...]]
"""Name, what builds the network, shape of one image."""


class InPlace(nn.Module):
    """A call in place whose result nobody names, and one through an alias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """x: a batch of images."""
        y = self.a(x)
        alias = y.view(y.size(0), -1)
        alias.relu_()
        y += 1 * y
        return self.b(y.mean((2, 3)))


class AsksForShape(nn.Module):
    """Decides on the images' size."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """x: a batch of images."""
        if x.shape[2] > 64:
            x = F.avg_pool2d(x, 2)
        return self.b(F.relu(self.a(x)).mean((2, 3)))


class AsksForMode(nn.Module):
    """Does something else in training."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """x: a batch of images."""
        y = F.dropout(F.relu(self.a(x)), 0.5, self.training)
        return self.b(y)


def hooked() -> nn.Module:
    """A hook changes a module's result."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model[1].register_forward_hook(lambda module, inputs, output: output * 0.25)
    return model


def shared() -> nn.Module:
    """A layer called twice, under two names."""
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.ReLU(), layer)


def own_cases() -> Iterator[Case]:
    """Built-in networks, and spellings that a road may lose."""
    for name, shape in (("lenet", (1, 28, 28)), ("resnet20", (3, 32, 32)), ("mobilenet-small", (3, 32, 32))):
        yield name, lambda name=name: build(name, seed=0), shape
    for kind in (InPlace, AsksForShape):
        yield kind.__name__, kind, (3, 8, 8)
    yield "AsksForMode", AsksForMode, (6,)
    yield "hook", hooked, (3, 8, 8)
    yield "shared layer", shared, (6,)
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    yield "nn.TransformerEncoderLayer", lambda: encoder, (5, 16)


def cases_of(path: Path) -> Iterator[Case]:
    """The networks of a file of reported cases."""
    spec = importlib.util.spec_from_file_location("cases", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    for name in (
        "linear_with_norm_over_another_axis",
        "computed_weight_before_norm",
        "hook_on_relu",
        "ends_with_average",
    ):
        model, images, _ = getattr(cases, name)()
        yield name, lambda model=model: model, tuple(images.shape[1:])
    for name, shape in (("TiedWeight", (3, 6, 6)), ("DroppedInPlace", (6,)), ("Gate", (3, 8, 8))):
        yield name, getattr(cases, name), shape


def timm_cases() -> Iterator[Case]:
    """Models of timm."""
    import timm

    for name in TIMM:
        size = 299 if name == "inception_v3" else 224
        yield name, lambda name=name: timm.create_model(name), (3, size, size)


def by_fx(network: nn.Module, images: Tensor, training: bool) -> torch.fx.GraphModule:
    """The road that fewbits takes."""
    return torch.fx.GraphModule(network, graph_of(network, training=training))


def by_export(network: nn.Module, images: Tensor, training: bool) -> torch.fx.GraphModule:
    """torch.export's road, with a batch of any size."""
    batch = torch.export.Dim("batch", min=2, max=1024)
    with in_mode(network, training=training):
        program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},), strict=False)
    return program.module()  # type: ignore[return-value]


def layer_names(network: nn.Module) -> set[str]:
    """Names of convolutions and linear layers."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    return {name for name, module in network.named_modules() if isinstance(module, kinds)}


def found_names(graph: torch.fx.Graph) -> set[str]:
    """Names of modules that a graph calls, or in whose forward pass its calls are."""
    names = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    stacks = [node.meta.get("nn_module_stack") or {} for node in graph.nodes]
    return names | {str(place[0]).removeprefix("L['self'].") for stack in stacks for place in stack.values()}


def tried(road: Callable[..., Any], network: nn.Module, images: Tensor, training: bool) -> tuple[Any, float, str]:
    """What a road captures, the least time in ms, and why it captures nothing."""
    times: list[float] = []
    for _ in range(TRIES):
        start = time.process_time()
        try:
            captured = road(network, images, training)
        except Exception as error:  # whatever a road says to a network
            return None, 1000 * (time.process_time() - start), " ".join(f"{type(error).__name__}: {error}".split())
        times.append(1000 * (time.process_time() - start))
        if times[0] > 1000:
            break
    return captured, min(times), ""


def report(name: str, build_network: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, tuple[bool, ...]]:
    """Print a network's rows; by road what holds."""
    outcome: dict[str, tuple[bool, ...]] = {}
    for road in (by_fx, by_export):
        torch.manual_seed(0)
        network = build_network().eval()
        images, others = torch.randn(2, *shape), torch.randn(3, *shape)
        captured, milliseconds, why = tried(road, network, images, training=False)
        in_training, _, why_not = tried(road, network, images, training=True)
        same = named = modules = False
        if captured is not None:
            with torch.no_grad():
                expected = network.eval()(others.clone())
                try:
                    found = captured(others.clone())
                    same = torch.allclose(expected, found, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
                except Exception as error:
                    why = f"run: {type(error).__name__}: {error}"
            named = layer_names(network) <= found_names(captured.graph)
            modules = layer_names(network) <= {
                str(one.target) for one in captured.graph.nodes if one.op == "call_module"
            }
        held = (captured is not None, in_training is not None, same, named, modules)
        outcome[road.__name__] = held
        marks = " ".join(word if holds else "-" * len(word) for word, holds in zip(HELD, held, strict=True))
        line = (
            f"{name:36} {road.__name__.removeprefix('by_'):7} {milliseconds:9.1f} ms  {marks}  {(why or why_not)[:110]}"
        )
        print(line, flush=True)
    return outcome


def main() -> None:
    """Print all rows, and how many hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--timm", action="store_true", help="timm's models too, which must be installed")
    parser.add_argument("--cases", type=Path, help="a file of reported cases")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for title, cases in (
        ("own", own_cases()),
        ("cases", cases_of(given.cases) if given.cases else iter(())),
        ("timm", timm_cases() if given.timm else iter(())),
    ):
        rows = [report(*case) for case in cases]
        for road in ("by_fx", "by_export"):
            counts = [sum(row[road][place] for row in rows) for place in range(5)]
            held = ", ".join(f"{word} {count}" for word, count in zip(HELD, counts, strict=True))
            print(f"{title} {road.removeprefix('by_')}: of {len(rows)}: {held}", flush=True)


if __name__ == "__main__":
    main()
