"""Modules drawn at random: every rewrite computes what it was given, or is refused in one line."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import HealthCheck, event, given, settings
from random_modules import CHANNELS, SIDE, modules
from torch import Tensor, nn

import fewbits as fb
from fewbits.graph.equivalence import results_of

IMAGES = torch.randn(8, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(3))

PRECISION = "fixed24"
"""24 bits for weights and inputs: what is left of rounding is far below the wrong values that are looked for."""


def _tried(what: str, call: Callable[[], object]) -> object | None:
    """The result of a call; None if it is refused, in one line."""
    lines: list[str] = []
    result = None
    try:
        result = call()
    except fb.FewbitsError as error:
        lines = str(error).split("\n")
    event(f"{what}: {'refused' if lines else 'computed'}")
    assert len(lines) < 2, lines
    return result


def _near(expected: Tensor, found: Tensor) -> bool:
    distance = (expected.double() - found.double()).abs().max()
    return bool(distance <= 1e-4 * max(1.0, float(expected.abs().max())))


def check(model: nn.Module) -> None:
    """Eager, folded, equalized, quantized with roundings off, lowered at 24 bits: equal or refused."""
    (expected,) = results_of(model, IMAGES)
    for rewrite in (fb.fold_batch_norm, fb.equalize_channels):
        made = _tried(rewrite.__name__, lambda rewrite=rewrite: rewrite(model))
        assert made is None or _near(expected, results_of(made, IMAGES)[0]), rewrite.__name__
    for start in (model, _tried("fold", lambda: fb.fold_batch_norm(model))):
        quantized = None if start is None else _tried("quantize", lambda start=start: fb.quantize(start, PRECISION))
        if quantized is None:
            continue
        assert _near(expected, results_of(quantized, IMAGES)[0]), "quantize"
        if _tried("calibrate", lambda quantized=quantized: fb.calibrate(quantized, IMAGES, "maximum")) is None:
            continue
        with torch.no_grad():
            assert _near(expected, quantized.eval()(IMAGES.clone())), "fake-quantized"
        network = _tried("lower", lambda quantized=quantized: fb.lower(quantized, IMAGES[:1]))
        priced = _tried("cost", lambda start=start: fb.cost(start, "fixed8", input_shape=IMAGES.shape[1:]))
        assert priced is not None or network is None, "lowered without a cost"
        is_folded = not any(entry.kind.startswith("BatchNorm") for entry in quantized.skipped)
        assert priced is None or not (quantized.skipped and is_folded), f"a cost of {quantized.skipped}"
        if network is not None:
            assert _near(expected, network.run(IMAGES)), "lower"
            found = fb.first_difference(quantized, network, IMAGES)
            assert found is None or abs(found.difference) < 1e-3


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(modules())
def test_what_is_made_of_a_random_module_equals_it_or_is_refused(model: nn.Module) -> None:
    check(model)
