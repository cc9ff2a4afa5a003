"""SCALE-Sim v3 as an oracle: compute cycles of layers on a systolic array, as its own reports have them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fewbits.hardware.workload.workload import LayerShape

_CONFIGURATION = """
[general]
run_name = run
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 4096
FilterSramSzkB: 4096
OfmapSramSzkB: 4096
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 10
Dataflow: {dataflow}
ReadRequestBuffer: 32
WriteRequestBuffer: 32
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""
"""Buffers that hold everything, and as much bandwidth as is asked for, so that nothing waits."""


def _package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The installed package, or a skipped test."""
    whole = pytest.importorskip("scalesim.scale_sim", reason="SCALE-Sim (the package scalesim) is not installed")
    memory = pytest.importorskip("scalesim.memory.double_buffered_scratchpad_mem", reason="SCALE-Sim is not installed")

    # scalesim 3.0.0 calls int(max(...)) on arrays of one value, which numpy >= 2.4 refuses: only that is mended.
    def largest(*values: Any) -> Any:
        return np.asarray(max(*values)).item()

    monkeypatch.setattr(memory, "max", largest, raising=False)
    return whole


def compute_cycles(
    layers: list[LayerShape], dataflow: str, rows: int, columns: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Of each layer, by the package. dataflow: os, ws or is. Skips where the package is not installed."""
    whole = _package(monkeypatch)
    configuration, topology, layout = folder / "array.cfg", folder / "layers.csv", folder / "layout.csv"
    configuration.write_text(_CONFIGURATION.format(rows=rows, columns=columns, dataflow=dataflow))
    lines = [
        f"{layer.name},{','.join(map(str, (*layer.input_size, *layer.kernel, layer.input_channels, layer.neurons)))},"
        f"{layer.stride[0]},"
        for layer in layers
    ]
    topology.write_text("\n".join(["name,height,width,rows,columns,channels,filters,stride,", *lines, ""]))
    layout.write_text("name,\n")
    with contextlib.redirect_stdout(io.StringIO()):
        run = whole.scalesim(
            save_disk_space=True,
            verbose=False,
            config=str(configuration),
            topology=str(topology),
            layout=str(layout),
        )
        run.run_scale(top_path=str(folder))
    return [int(layer.get_compute_report_items()[1]) for layer in run.runner.single_layer_sim_object_list]
