"""A user's script: what a type checker must know of the public surface. Checked by test_typing.py, never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import Operation


def low_precision(model: nn.Module, images: Tensor) -> None:
    """The way from a float network to its cost."""
    folded = fb.fold_batch_norm(model, images=images)
    q = fb.quantize(folded, "pow2-6/fixed16", layers={"conv1": fb.parse_precision("fixed8")}, per_channel=True)
    assert_type(q, fb.QuantizedModel)
    assert_type(q.skipped, tuple[fb.Skipped, ...])
    assert_type(q.layers, dict[str, fb.QuantizedLayer])
    assert_type(fb.calibrate(q, images, "percentile", percentile=99.0), fb.QuantizedModel)
    assert_type(q.calibration, tuple[fb.LayerCalibration, ...])
    network = fb.lower(q, images, product_bits=None)
    assert_type(network, fb.BitExactNetwork)
    assert_type(network.run(images, batch_size=8), Tensor)
    assert_type(network.accumulators(images), fb.ExactValues)
    assert_type(network.trace(images), dict[str, fb.ExactValues])
    assert_type(network.operations, tuple[Operation, ...])
    assert_type(fb.first_difference(q, network, images), fb.Difference | None)
    network.save(Path("net.safetensors"))
    assert_type(fb.load("net.safetensors"), fb.BitExactNetwork)
    cost = fb.cost(network, accelerator=fb.Accelerator(neurons=8))
    assert_type(cost, fb.Cost)
    assert_type(cost.energy_uj, float)
    assert_type(cost.breakdown, fb.Breakdown)
    assert_type(cost.breakdown.layers, tuple[fb.LayerCost, ...])


def formats() -> None:
    """Formats and precisions by name."""
    fmt = fb.parse_format("fixed8")
    assert_type(fmt, fb.Format)
    assert_type(fmt.bits, int)
    assert_type(fmt.describe(), fb.Description)
    precision = fb.parse_precision("pow2-6/fixed16")
    assert_type(precision, fb.Precision)
    assert_type(precision.weights, fb.Format)


def subpackages() -> None:
    """What loads at first use is known before."""
    model = fb.models.build("lenet", seed=0)
    assert_type(model, nn.Module)
    data = fb.data.load("digits")
    assert_type(data, fb.Dataset)
    assert_type(data.test, fb.Split)
    settings = fb.train.TrainSettings(epochs=1)
    q, record = fb.train.run_recipe("fine-tune", model, "fixed8", data, settings)
    assert_type(q, fb.QuantizedModel)
    assert_type(record, fb.train.TrainRecord)
    assert_type(fb.study.load_study("default"), fb.study.StudySpec)
    assert_type(fb.hardware.load_technology("ihp-sg13g2"), fb.Technology)
    assert_type(fb.hardware.workload_of("lenet"), fb.Workload)
    assert_type(fb.report.write_report("folder"), tuple[Path, ...])
    assert_type(fb.report.read_tables("folder")["runs"].records(), list[dict[str, Any]])


def errors(call: Callable[[], None]) -> str:
    """Every refusal is a FewbitsError."""
    try:
        call()
    except (fb.FormatError, fb.ModelError, fb.DataError, fb.StudyError, fb.HardwareError, fb.ExtensionError) as error:
        return repr(error)
    except fb.FewbitsError as error:
        return str(error)
    return ""


def mistakes() -> None:
    """What must be an error to a type checker: each line says so, and an unneeded exception is one itself."""
    print(fb.quantise)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    fb.parse_format(8)  # pyright: ignore[reportArgumentType]
    fb.lower("lenet")  # pyright: ignore[reportCallIssue]
