"""The workload of whatever stands for a network: a workload, a bit-exact network, a torch module or a model's name."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fewbits.errors import ModelError
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision
    from fewbits.formats.assignment import Assignment


def workload_of(
    network: Workload | BitExactNetwork | nn.Module | str, input_shape: tuple[int, ...] | None = None
) -> Workload:
    """The layers that the accelerator computes for a network.

    input_shape: channels, height, width, for a torch module without an attribute `input_shape` and for a model whose
    name does not tell.
    Raises ModelError if the network cannot be computed by the accelerator or its input shape is not known.
    """
    if isinstance(network, Workload):
        return network
    from torch import nn

    from fewbits import models
    from fewbits.hardware.workload.module_workload import module_workload

    if isinstance(network, str):
        shape = _known_shape(input_shape or models.input_shape(network), f"model {network!r}")
        if network.split("*")[0] in models.MODEL_NAMES:
            return _built_in_workload(network, shape)
        return module_workload(models.build(network, seed=0), shape)
    if isinstance(network, nn.Module):
        return module_workload(network, _known_shape(input_shape or getattr(network, "input_shape", None), "the model"))
    from fewbits.hardware.workload.operations import bit_exact_workload

    return bit_exact_workload(network)


def assigned_workload(
    network: nn.Module | str, assignment: Assignment, input_shape: tuple[int, ...] | None = None
) -> tuple[Workload, tuple[str, ...]]:
    """The layers of a float network, each at its precision of an assignment, as `workload_of` gives them; and sentences
    on what quantizing changes or assumes, such as inputs without a sign.

    Raises ModelError too for a layer that the network does not have.
    """
    from torch import nn

    from fewbits import models
    from fewbits.quantization import fold_batch_norm, quantize
    from fewbits.quantization.signs import unsigned_images

    if isinstance(network, nn.Module):
        module, shape = network, input_shape or getattr(network, "input_shape", None)
    elif isinstance(network, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        module, shape = models.build(network, seed=0), input_shape or models.input_shape(network)
    else:
        raise ModelError(f"an assignment is for a float network or a model's name, not {type(network).__name__}")
    folded = fold_batch_norm(module.eval())
    quantized = quantize(folded, assignment.precision, layers=assignment.layers)
    return workload_of(quantized, shape), quantized.notices + unsigned_images(quantized.rounding_inputs)


def where_unsigned(network: object, precision: Precision | str | None) -> Assignment | None:
    """A precision of unsigned inputs as an assignment, where a float network's layers must tell if they may be so."""
    from fewbits.formats import Assignment, parse_precision

    parsed = parse_precision(precision) if isinstance(precision, str) else precision
    if parsed is None or parsed.inputs.is_signed or not _is_float_network(network):
        return None
    return Assignment.uniform(parsed)


def _is_float_network(network: object) -> bool:
    """A module that is not quantized, or the name of one."""
    from torch import nn

    from fewbits.quantization import QuantizedModel

    return isinstance(network, str) or (isinstance(network, nn.Module) and not isinstance(network, QuantizedModel))


def _known_shape(shape: tuple[int, ...] | None, whose: str) -> tuple[int, ...]:
    """The shape, or an error that says how to give it."""
    if shape is None:
        raise ModelError(f"the input shape of {whose} is not known: give input_shape, such as (1, 28, 28), or --input")
    return tuple(shape)


@lru_cache(maxsize=64)
def _built_in_workload(name: str, shape: tuple[int, ...]) -> Workload:
    """Of a built-in model, which its name tells whole; made without memory for its weights."""
    import torch

    from fewbits import models
    from fewbits.hardware.workload.module_workload import module_workload

    with torch.device("meta"):
        return module_workload(models.build(name), shape)
