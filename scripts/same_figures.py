"""Write every figure that the imported fewbits computes into a folder, and compare two such folders byte by byte.

Usage: PYTHONPATH=CHECKOUT/src python scripts/same_figures.py OUT [--quick] [--only PART ...]
       python scripts/same_figures.py --compare BEFORE AFTER [--grown]
For changes of the code that must change no figure: a folder of the commit before, one of the commit after. --quick
leaves out SLOW_PARTS. --grown lets AFTER have further fields and printed lines: those of BEFORE must be equal. A part
that AFTER was not made with is named and not compared; anything else that differs or is missing makes the exit status
1. Both folders have to be made on one machine: float32 sums of torch may differ by one unit in the last place
elsewhere. It uses only the command line and names that stay, so it runs on older commits too.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import importlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits import cli
from fewbits.models import build

PACKAGE = Path(fb.__file__).parent
CHECKOUT = PACKAGE.parents[1]
"""Where the imported fewbits lies; its own scripts make the pages."""

TABLE = "ihp-sg13g2"
"""The shipped technology table; its netlists are the `*.netlist` files of the package."""

MACHINE_FIELDS = {"wall_time_s", "seconds", "date", "path", "folder", "out", "versions", "workers", "threads"}
"""Fields of printed JSON that tell of machine and day, left out wherever they stand; `run --json` has none today."""

NETWORKS = (
    *("lenet", "convnet", "alex", "alex+", "alex++", "mlp", "vgg", "compact", "resnet20", "mobilenet-small"),
    *("lenet*2", "compact*1.5"),
)

BETWEEN = ("fixed9", "fixed14", "fixed8/fixed12", "fixed4/fixed16", "float16", "pow2-5/fixed8", "fixed8/float32")
"""Precisions without an entry in the table: interpolated, or refused."""

COST_OPTIONS = (
    ("lenet", "--neurons", "8"),
    ("lenet", "--neurons", "32", "--synapses", "16"),
    ("lenet", "--synapses", "8"),
    ("resnet20", "--rows", "128"),
    ("resnet20", "--rows", "16", "--neurons", "64"),
    ("alex", "--clock", "100"),
    ("alex", "--clock", "1000"),
    ("mobilenet-small", "--node", "65"),
    ("lenet", "--node", "28", "--clock", "500"),
    ("lenet", "--multiplier", "array"),
    ("lenet", "--product-bits", "12"),
    ("mobilenet-small", "--input", "3x48x48"),
    ("resnet20*0.5",),
    ("mlp", "--bandwidth", "0.5"),
    ("vgg", "--bandwidth", "1", "--clock", "125"),
    ("alex++", "--off-chip"),
    ("lenet", "--technology", f"{TABLE}@45nm"),
)
OPTION_PRECISIONS = ("float32", "fixed16", "fixed8", "fixed9", "pow2-6/fixed16", "binary/fixed16", "ternary/fixed8")

LOWERED_PRECISIONS = (
    *("fixed2", "fixed4", "fixed8", "fixed16", "fixed24", "fixed32", "fixed8/fixed16", "fixed16/fixed8"),
    *("pow2-6/fixed16", "pow2-4/fixed8", "binary", "binary/fixed16", "ternary", "ternary/fixed8"),
    *("float32", "float16", "bfloat16", "fp8-e4m3", "fp8-e5m2", "float-e4m5", "fixed8/float32"),
)

RECIPES = {
    "fixed4": ("from-scratch", "nearest-update", "stochastic-update", "lsq", "lsq-free", "pact", "distill", "gradual",
               "distill-lsq", "gradual-distill-lsq", "ristretto", "runtime-configurable", "post-training", "best"),
    "binary/fixed16": ("binary-connect", "binary-connect-stochastic", "binary-weight-network"),
    "ternary/fixed8": ("ternary-connect",),
    "binary": ("xnor-net", "binary-net"),
}  # fmt: skip
"""By precision, what it is trained by for an epoch: LeNet on the digits. `run default` has the recipe that is left."""

RTL = {
    "float32": ("float32",),
    "fixed8": ("fixed8",),
    "pow2-6-fixed16": ("pow2-6/fixed16",),
    "binary-fixed16": ("binary/fixed16",),
    "fixed16-array-product20": ("fixed16", "--multiplier", "array", "--product-bits", "20"),
    "fixed8-lenet": ("fixed8", "--model", "lenet"),
}


def command(*arguments: str) -> str:
    """What a command of fewbits prints, in this process; where it is refused, its line on standard error."""
    printed, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
        status = cli.main(arguments)
    return printed.getvalue() if status == 0 else f"exit status {status}: {told.getvalue()}"


def apart(*arguments: str) -> str:
    """What a command prints, in a process of its own. Raises CalledProcessError where it fails."""
    return subprocess.run(
        [sys.executable, "-m", "fewbits", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def plain(value: Any) -> Any:
    """Parsed JSON without the machine's fields."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if name not in MACHINE_FIELDS}
    return [plain(each) for each in value] if isinstance(value, list) else value


def parsed(text: str) -> Any:
    """Printed JSON, or the text of a refusal."""
    return plain(json.loads(text)) if text.startswith(("[", "{")) else text


def write(out: Path, name: str, figures: Any) -> None:
    """Write figures as JSON with sorted keys, a value a line."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def sha256(data: bytes) -> str:
    """Digest, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def files_digests(folder: Path) -> dict[str, str]:
    """By a file's name within a folder, its digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()) for path in files}


def tables(out: Path) -> None:
    """The shipped table's files, and what is loaded from it."""
    files = [*PACKAGE.rglob(f"{TABLE}.json"), *PACKAGE.rglob("*.netlist")]
    write(out, "files", {path.name: sha256(path.read_bytes()) for path in files})
    with tempfile.TemporaryDirectory() as folder:
        for name in (TABLE, f"{TABLE}@65nm", f"{TABLE}@28nm"):
            saved = Path(folder) / "table.json"
            importlib.import_module("fewbits.hardware").load_technology(name).save(saved)
            write(out, name, json.loads(saved.read_text()))


def costs(out: Path) -> None:
    """`fewbits cost`: each network at each precision, and its options."""
    characterized = importlib.import_module("fewbits.hardware").load_technology().save
    with tempfile.TemporaryDirectory() as folder:
        characterized(Path(folder) / "table.json")
        precisions = [*json.loads((Path(folder) / "table.json").read_text())["datapaths"], *BETWEEN]
    for network in NETWORKS:
        write(
            out, network.replace("*", "x"), {one: parsed(command("cost", network, one, "--json")) for one in precisions}
        )
    for number, options in enumerate(COST_OPTIONS):
        found = {one: parsed(command("cost", options[0], one, *options[1:], "--json")) for one in OPTION_PRECISIONS}
        printed = command("cost", options[0], *OPTION_PRECISIONS[:2], *options[1:]).splitlines()
        write(out, f"options-{number:02}", {"options": options, "json": found, "printed": printed})
    write(out, "formats", {name: command("formats", *name.split()).splitlines() for name in ("", *LOWERED_PRECISIONS)})


class Branches(nn.Module):
    """A network with what the built-in ones lack: joined and added branches, groups, dilation, a global average."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        self.left = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=4)
        self.right = nn.Conv2d(16, 8, 1)
        self.behind = nn.Conv2d(24, 16, 3, stride=2, padding=1, bias=False)
        self.pooled = nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1), nn.Conv2d(16, 16, 1), nn.ReLU())
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, height, width)."""
        stem = self.stem(images)
        joined = torch.cat([torch.relu(self.left(stem)), self.right(stem)], dim=1)
        added = self.behind(joined) + self.pooled(stem)
        return self.classifier(self.dropout(nn.functional.relu(added).mean((2, 3))))


def sequence() -> nn.Module:
    """One-dimensional convolutions."""
    return nn.Sequential(
        nn.Conv1d(2, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, stride=2), nn.ReLU(),
        nn.AvgPool1d(2), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def refused_networks() -> dict[str, nn.Module]:
    """Networks with something that has no bit-exact form."""
    kinds = (nn.Sigmoid(), nn.LeakyReLU(), nn.BatchNorm2d(4), nn.Softmax(1), nn.Upsample(scale_factor=2), nn.GELU())
    kinds += (nn.GroupNorm(2, 4), nn.ConvTranspose2d(4, 4, 2), nn.LPPool2d(2, 2), nn.AdaptiveAvgPool2d(3))
    found = {type(kind).__name__: nn.Sequential(nn.Conv2d(3, 4, 3), kind, nn.Conv2d(4, 4, 3)) for kind in kinds}
    return found | {
        "Transformer": nn.Sequential(nn.Linear(8, 8), nn.TransformerEncoderLayer(8, 2, 16)),
        "LSTM": nn.Sequential(nn.Linear(8, 8), nn.LSTM(8, 8)),
    }


Variant = tuple[str, dict[str, Any], dict[str, Any]]
"""A precision, and what `quantize` and `lower` are given beside it."""


def variants(last: str) -> dict[str, Variant]:
    """What a network is quantized to. last: its last layer's name."""
    found: dict[str, Variant] = {precision: (precision, {}, {}) for precision in LOWERED_PRECISIONS}
    for precision in ("fixed4", "fixed8/fixed16", "pow2-6/fixed16", "ternary/fixed8", "fp8-e4m3"):
        found[f"{precision} per channel"] = (precision, {"per_channel": True}, {})
    for precision, bits in (("fixed16", 20), ("fixed8", 10), ("pow2-6/fixed16", 24), ("float32", 20)):
        found[f"{precision} products of {bits}"] = (precision, {}, {"product_bits": bits})
    for precision, other in (("fixed8", "fixed16"), ("fixed8", "fixed4/fixed8"), ("binary/fixed16", "fixed16")):
        found[f"{precision}, last {other}"] = (precision, {"layers": {last: other}}, {})
    return found


def seeded(name: str) -> tuple[nn.Module, Tensor]:
    """A network in evaluation mode, its normalizations' statistics drawn, and images for it."""
    own: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
        "branches": (Branches, (3, 20, 20)),
        "sequence": (sequence, (2, 30)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(12)
        network = own[name][0]() if name in own else build(name, 12)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values, low, high in (
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.5, 2),
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.3, 0.3),
                ):
                    assert values is not None
                    nn.init.uniform_(values, low, high)
        shape = own[name][1] if name in own else (1, 28, 28) if name in ("lenet", "mlp") else (3, 32, 32)
        return network.eval(), torch.randn(4, *shape)


def bytes_of(values: Tensor) -> str:
    """Digest of values as float64."""
    return sha256(values.detach().double().contiguous().numpy().tobytes())


def computed(network: nn.Module, images: Tensor, variant: Variant) -> Any:
    """What becomes of a network: its logits on each path, gradients and cost; or why not."""
    precision, choices, lowering = variant
    found: dict[str, Any] = {}
    try:
        quantized = fb.quantize(network, precision, **choices)
        found |= {"skipped": list(map(str, quantized.skipped)), "notices": list(quantized.notices)}
        fb.calibrate(quantized, images)
        found["fake quantized"] = bytes_of(quantized(images))
        found["gradients"] = gradients(quantized, images)
        found |= lowered(quantized, images, lowering)
    except fb.FewbitsError as error:
        found["refused"] = f"{type(error).__name__}: {error}"
    return found


def lowered(quantized: nn.Module, images: Tensor, lowering: dict[str, Any]) -> dict[str, Any]:
    """Logits and costs of the bit-exact network."""
    net = fb.lower(quantized, images[:1], **lowering)
    found: dict[str, Any] = {"logits": bytes_of(net.run(images)), "some logits": net.run(images[:1]).flatten().tolist()}
    try:
        shape = {"input_shape": tuple(images.shape[1:])}
        for name, cost in (("cost", fb.cost(net)), ("cost of the module", fb.cost(quantized, **shape))):
            found[name] = {
                "energy_uj": dict(cost.breakdown.energy_uj),
                "cycles": {layer.name: layer.cycles for layer in cost.breakdown.layers},
                "kinds": {layer.name: str(layer.kind) for layer in cost.breakdown.layers},
                "memory_kib": cost.memory_kib,
                "area_mm2": cost.area_mm2,
                "notes": cost.notes,
            }
    except fb.FewbitsError as error:
        found["refused cost"] = f"{type(error).__name__}: {error}"
    return found


def gradients(quantized: nn.Module, images: Tensor) -> str:
    """Digest of all gradients of a step of training; the network is left as it was."""
    trained = copy.deepcopy(quantized).train()
    with torch.random.fork_rng():
        torch.manual_seed(12)
        nn.functional.cross_entropy(trained(images), torch.arange(len(images))).backward()
    found = [one.grad.flatten() for one in trained.parameters() if one.grad is not None]
    return bytes_of(torch.cat(found))


def networks(out: Path) -> None:
    """Networks with seeded weights, quantized and lowered at many precisions."""
    for name in ("lenet", "alex", "resnet20", "mobilenet-small", "branches", "sequence"):
        network, images = seeded(name)
        network = fb.fold_batch_norm(network)
        *_, last = (name for name, module in network.named_modules() if isinstance(module, nn.Linear))
        write(out, name, {key: computed(network, images, each) for key, each in variants(last).items()})
    network, images = seeded("resnet20")
    found = {one: computed(network, images, (one, {}, {})) for one in ("fixed8", "float32")}
    network, images = seeded("mobilenet-small")
    equalized = fb.fold_batch_norm(network)
    fb.equalize_channels(equalized)
    found["equalized"] = computed(equalized, images, ("fixed8", {}, {}))
    write(out, "normalized", found)
    with torch.random.fork_rng():
        torch.manual_seed(12)
        kinds = refused_networks().items()
        shapes = {"Transformer": (2, 3, 8), "LSTM": (2, 3, 8)}
        drawn = {name: torch.randn(shapes.get(name, (2, 3, 9, 9))) for name, _ in kinds}
        write(out, "refused", {name: refusals(network, drawn[name]) for name, network in kinds})


def refusals(network: nn.Module, images: Tensor) -> dict[str, Any]:
    """What is said of a network that cannot be lowered, by each of its readers."""
    found: dict[str, Any] = {}
    try:
        quantized = fb.quantize(network, "fixed8")
        found["skipped"] = list(map(str, quantized.skipped))
        fb.calibrate(quantized, images)
        fb.lower(quantized, images)
    except fb.FewbitsError as error:
        found["lower"] = f"{type(error).__name__}: {error}"
    try:
        found["cost"] = fb.cost(network, "fixed8", input_shape=tuple(images.shape[1:])).energy_uj
    except fb.FewbitsError as error:
        found["cost"] = f"{type(error).__name__}: {error}"
    return found


def pages(out: Path) -> None:
    """What the checkout's scripts make of the stored results."""
    sys.path.insert(0, str(CHECKOUT / "scripts"))
    documented, reproduced = map(importlib.import_module, ("docs_figures", "reproduction_tables"))
    blocks = {name: make() for name, make in documented.BLOCKS.items()}
    write(out, "blocks", {name: text.splitlines() for name, text in blocks.items()})
    charts = {"accuracy-energy": documented.default_chart().sha256}

    def draw(data: str, group: Any) -> str:
        charts[data] = reproduced.accuracy_energy_chart(group, f"reproduction-{data}").sha256
        return reproduced.show_chart(data, group)

    write(out, "reproduction", reproduced.document(draw).splitlines())
    write(out, "charts", charts)


def verilog(out: Path) -> None:
    """`fewbits rtl`: each file's digest."""
    for name, arguments in RTL.items():
        with tempfile.TemporaryDirectory() as folder:
            apart("rtl", *arguments, "--out", folder)
            write(out, name, files_digests(Path(folder)))


def runs(out: Path) -> None:
    """`fewbits run`: the default study, and a short one for each other recipe."""
    with tempfile.TemporaryDirectory() as folder:
        write(out, "default", parsed(apart("run", "default", "--json", "--out", f"{folder}/default")))
        for precision, recipes in RECIPES.items():
            name = precision.replace("/", "-")
            study = Path(folder) / f"{name}.toml"
            study.write_text(
                f'name = "{name}"\nmodels = ["lenet"]\ndata = ["digits"]\nprecisions = ["float32", "{precision}"]\n'
                f"recipes = {json.dumps(recipes)}\nseeds = [0]\n"
                + "".join(f"[{part}]\nepochs = 1\n" for part in ("float_training", "fine_tune", "from_scratch"))
            )
            write(out, name, parsed(apart("run", str(study), "--json", "--out", f"{folder}/{name}")))


PARTS: dict[str, Callable[[Path], None]] = {
    "tables": tables,
    "costs": costs,
    "networks": networks,
    "pages": pages,
    "verilog": verilog,
    "runs": runs,
}
"""By the folder that it writes."""

SLOW_PARTS = ("verilog", "runs")


def has_grown(old: Any, new: Any) -> bool:
    """Whether JSON holds all that an older one holds: its fields, and its texts in their order."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and has_grown(value, new[name]) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        if all(isinstance(each, str) for each in (*old, *new)):
            left = iter(new)
            return all(line in left for line in old)
        return len(old) == len(new) and all(map(has_grown, old, new))
    return old == new


def differences(before: Path, after: Path, *, grown: bool = False) -> Iterator[tuple[bool, str]]:
    """For each file whether it is the same in both folders (or has grown), and a line that says so."""
    parts = {path.name for path in after.iterdir()}
    found = {path.relative_to(folder) for folder in (before, after) for path in folder.rglob("*") if path.is_file()}
    for name in sorted(found):
        texts = [
            (folder / name).read_text().splitlines() if (folder / name).exists() else None for folder in (before, after)
        ]
        first, second = texts
        if first is None or second is None:
            yield name.parts[0] not in parts, f"{'missing' if name.parts[0] in parts else 'not made'}: {name}"
        elif first == second:
            yield True, f"equal: {name}"
        elif grown and has_grown(*(json.loads("\n".join(text)) for text in (first, second))):
            yield True, f"equal, with more: {name}"
        else:
            pairs = enumerate(zip_longest(first, second, fillvalue="(end)"), start=1)
            number, (old, new) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
            yield False, f"DIFFERENT: {name}, line {number}\n  before: {old.strip()}\n  after:  {new.strip()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path, nargs="?", help="the folder to write")
    parser.add_argument("--quick", action="store_true", help=f"leave out {', '.join(SLOW_PARTS)}")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--grown", action="store_true", help="AFTER may have further fields and printed lines")
    given = parser.parse_args(arguments)
    if given.compare is not None:
        lines = list(differences(*given.compare, grown=given.grown))
        print("\n".join(line for _, line in lines))
        return int(not lines or not all(is_same for is_same, _ in lines))
    if given.out is None:
        parser.error("give the folder to write, or --compare BEFORE AFTER")
    torch.set_num_threads(1)
    for name in given.only or [part for part in PARTS if not (given.quick and part in SLOW_PARTS)]:
        print(name, flush=True)
        PARTS[name](given.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
