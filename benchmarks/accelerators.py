"""Time costs on accelerators: a network with its mappings kept, the search for a layer's mapping, and many points.

Three questions, each with the limit that the project allows itself, and a fourth beside a peer:
- `cost` of ResNet-20 on every preset, mappings kept: median over the rounds, presets in turn within each round.
- the mapper: each layer with weights of ResNet-20 and ResNet-18 by itself, on every preset that has a choice; every
  round asks with another bandwidth, so that no mapping is kept.
- 10,000 points, precision x accelerator, of LeNet by `costs` on processes.
- ResNet-18 on a TPU-like array: fewbits' mapper and ZigZag's (its own files for that array and network), in turn.
  ZigZag runs in an interpreter of its own (--peer), which may be of another environment; without it a line says so.

    python benchmarks/accelerators.py [--rounds 15] [--points 10000] [--workers 2] [--peer PYTHON] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

from fewbits.hardware import (
    Accelerator,
    Workload,
    accelerator_named,
    cost,
    costs,
    dataflow_of,
    dataflows,
    load_technology,
    workload_of,
)

COST_LIMIT_MS, MAPPER_LIMIT_S, POINTS_LIMIT_S = 10.0, 1.0, 30.0
"""What the project allows itself: a cost, a layer's mapping, all points."""

TPU_LIKE = "tpu-like"

ZIGZAG = """
import contextlib, json, logging, sys, tempfile, time
from pathlib import Path
import zigzag
from zigzag.api import get_hardware_performance_zigzag
logging.disable(logging.CRITICAL)
top = Path(zigzag.__file__).parent / "inputs"
files = [str(top / name) for name in ("workload/resnet18.onnx", "hardware/tpu_like.yaml", "mapping/tpu_like.yaml")]
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    started, processor = time.perf_counter(), time.process_time()
    energy, cycles, details = get_hardware_performance_zigzag(
        *files, opt="latency", dump_folder=folder, loma_show_progress_bar=False
    )
    took = [time.perf_counter() - started, time.process_time() - processor]
print(json.dumps({"seconds": took[0], "processor_s": took[1], "cycles": cycles, "layers": len(details[0][1])}))
"""
"""What the peer's interpreter runs; imports are not timed."""


def presets() -> dict[str, Any]:
    """All accelerators that have a name: files that come with fewbits, and those of dataflows."""
    folder = files("fewbits.hardware.dataflow") / "presets"
    described = sorted(one.name.removesuffix(".toml") for one in folder.iterdir()) if folder.is_dir() else []
    named = [name for dataflow in dataflows().values() for name in dataflow.presets]
    return {name: accelerator_named(name) for name in dict.fromkeys((*described, *named))}


def chooses(accelerator: Any) -> bool:
    """Whether its dataflow searches for mappings."""
    return dataflow_of(accelerator).name == "loops"


Took = tuple[float, float]
"""Seconds that passed, and seconds of processor time: on a quiet machine one process needs as much of both."""


def processor_s() -> float:
    """Of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(work: Callable[[], object]) -> Took:
    """Of one call."""
    started, processor = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - started, processor_s() - processor


def median(each: Sequence[Took]) -> Took:
    """Of both."""
    return statistics.median(one[0] for one in each), statistics.median(one[1] for one in each)


def kept_costs(machines: dict[str, Any], rounds: int) -> dict[str, Took]:
    """`cost` of ResNet-20 at fixed8, by preset: medians."""
    table, workload = load_technology(), workload_of("resnet20")
    works = {
        name: lambda machine=machine: cost(workload, "fixed8", technology=table, accelerator=machine)
        for name, machine in machines.items()
    }
    for work in works.values():
        work()
    found: dict[str, list[Took]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(timed(work))
    return {name: median(each) for name, each in found.items()}


_BANDWIDTHS = (12.8 + number * 2**-20 for number in count())
"""Another one for each search: nothing that is kept answers it, and nothing else is changed."""


def distinct_layers(network: str) -> Workload:
    """The network's layers with weights, each shape once."""
    workload = workload_of(network)
    shapes = {replace(layer, name=""): layer for layer in workload.layers if layer.has_weights}
    return replace(workload, layers=tuple(shapes.values()))


def mapped_layers(machines: dict[str, Any], rounds: int) -> dict[str, dict[str, Took]]:
    """The search for each layer's mapping, by preset, then network and layer: medians."""
    table = load_technology()
    asked = [
        (name, machine, f"{network} {layer.name}", replace(workload, layers=(layer,)))
        for name, machine in machines.items()
        if chooses(machine)
        for network in ("resnet20", "resnet18")
        for workload in [distinct_layers(network)]
        for layer in workload.layers
    ]
    found: dict[str, dict[str, list[Took]]] = {}
    for _ in range(rounds):
        for name, machine, layer, workload in asked:
            other = replace(machine, bandwidth=next(_BANDWIDTHS))
            took = timed(lambda w=workload, m=other: cost(w, "fixed8", technology=table, accelerator=m))
            found.setdefault(name, {}).setdefault(layer, []).append(took)
    return {name: {layer: median(took) for layer, took in layers.items()} for name, layers in found.items()}


def sweep(machines: dict[str, Any], points: int, workers: int) -> dict[str, float]:
    """Seconds of so many points of LeNet: every precision of the table on presets and sizes of DianNao's tile."""
    precisions = list(dict.fromkeys(one.name for one in load_technology().precisions()))
    sizes = (Accelerator(neurons=n, buffer_rows=rows) for rows in count(16, 4) for n in range(4, 68, 4))
    accelerators = list(machines.values())
    accelerators += [next(sizes) for _ in range(-(-points // len(precisions)) - len(accelerators))]
    found: list[bool] = []
    points_of = costs("lenet", precisions, accelerators, workers=workers)
    took = timed(lambda: found.extend(point.cost is not None for point in points_of))
    counts = {"points": len(found), "with a cost": sum(found), "accelerators": len(accelerators)}
    return counts | {"seconds": took[0], "processor_s": took[1]}


def whole_network(machine: Any) -> dict[str, float]:
    """Fewbits on ResNet-18, nothing kept: seconds of all layers, and cycles."""
    other = replace(machine, bandwidth=(machine.bandwidth or 12.8) + next(_BANDWIDTHS) * 2**-20)
    table, workload = load_technology(), workload_of("resnet18")
    started, processor = time.perf_counter(), time.process_time()
    found = cost(workload, "fixed8", technology=table, accelerator=other)
    took = {"seconds": time.perf_counter() - started, "processor_s": time.process_time() - processor}
    layers = sum(1 for layer in workload.layers if layer.has_weights)
    return took | {"cycles": found.cycles, "layers": layers}


def zigzag(python: str) -> dict[str, float] | str:
    """ZigZag on its ResNet-18; a sentence where it cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [python, "-c", ZIGZAG], capture_output=True, text=True, cwd=folder, timeout=1800, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"ZigZag: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return f"ZigZag does not run with {python}: {last} (pip install 'fewbits[peers]', or --peer PYTHON)"
    return json.loads(done.stdout.strip().splitlines()[-1])


def beside_zigzag(machine: Any, python: str, rounds: int) -> dict[str, Any]:
    """Both in turn, fewbits first and last."""
    ours, theirs = [whole_network(machine)], []
    for _ in range(rounds):
        peer = zigzag(python)
        if isinstance(peer, str):
            return {"fewbits": ours[0], "ZigZag": peer}
        theirs.append(peer)
        ours.append(whole_network(machine))

    def medians(each: Sequence[dict[str, float]]) -> dict[str, float]:
        return {name: statistics.median(one[name] for one in each) for name in each[0]}

    return {"fewbits": medians(ours), "ZigZag": medians(theirs)}


def say(took: Took, limit: float, unit: str, times: float = 1.0, share: int = 1) -> str:
    """What passed beside its limit, and the processor time. times: of the unit; share: processes with equal parts."""
    passed, processor = took[0] * times, took[1] * times / share
    over = "" if passed <= limit else "  OVER" if processor > limit else "  OVER on this busy machine"
    return f"{passed:8.2f} {unit}, {processor:.2f} of a processor (limit {limit:g}){over}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=15, help="of costs; a fifth of them of mappings")
    parser.add_argument("--points", type=int, default=10_000, help="of the sweep")
    parser.add_argument("--workers", type=int, default=2, help="processes of the sweep")
    parser.add_argument("--peer", default=sys.executable, metavar="PYTHON", help="interpreter that has ZigZag")
    parser.add_argument("--peer-rounds", type=int, default=1, help="of ZigZag, minutes each; 0 leaves it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    given = parser.parse_args(arguments)
    machines = presets()
    found: dict[str, Any] = {"cost_s": kept_costs(machines, given.rounds)}
    print("cost of resnet20 at fixed8, mappings kept, median:")
    for name, took in found["cost_s"].items():
        print(f"  {name:<24}{say(took, COST_LIMIT_MS, 'ms', times=1000)}", flush=True)
    found["mapper_s"] = mapped_layers(machines, max(1, given.rounds // 5))
    print("search for a layer's mapping, the slowest of resnet20 and resnet18 and the median of all:")
    for name, layers in found["mapper_s"].items():
        slowest = max(layers, key=lambda layer, layers=layers: layers[layer])
        middle = median(list(layers.values()))[1]
        print(f"  {name:<24}{say(layers[slowest], MAPPER_LIMIT_S, 's')}: {slowest}; median {middle:.3f}", flush=True)
    found["sweep"] = sweep(machines, given.points, given.workers)
    many = found["sweep"]
    took = say((many["seconds"], many["processor_s"]), POINTS_LIMIT_S, "s", share=given.workers)
    print(
        f"{many['points']:,} points of lenet, {many['with a cost']:,} with a cost, on {many['accelerators']} "
        f"accelerators, {given.workers} processes: {took}",
        flush=True,
    )
    if given.peer_rounds and TPU_LIKE in machines:
        found["peer"] = beside_zigzag(machines[TPU_LIKE], given.peer, given.peer_rounds)
        print("resnet18 on a TPU-like array, nothing kept:")
        for name, one in found["peer"].items():
            print(
                f"  {name:<10}" + (one if isinstance(one, str) else ", ".join(f"{k} {v:,.6g}" for k, v in one.items()))
            )
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
