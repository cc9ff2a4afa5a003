"""The bit-exact network: exactly what the hardware computes, lowered from a quantized torch module."""

from fewbits.bitexact.difference import Difference, first_difference
from fewbits.bitexact.fused import ONE_BY_ONE
from fewbits.bitexact.lowering import lower
from fewbits.bitexact.network import BitExactNetwork, ExactValues, load
from fewbits.bitexact.sum_order import SumOrder
from fewbits.bitexact.tables import FLOAT, FUSED, INTEGER, REFERENCE, UNROUNDED, Table
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    Concatenation,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    Linear,
    MaxPool,
    Operation,
    Pooling,
    ReLU,
    Rounding,
)

__all__ = [
    "FLOAT",
    "FUSED",
    "INTEGER",
    "ONE_BY_ONE",
    "REFERENCE",
    "UNROUNDED",
    "Addition",
    "AveragePool",
    "BitExactNetwork",
    "Concatenation",
    "Convolution",
    "Difference",
    "ExactValues",
    "Flatten",
    "InputRounding",
    "Layer",
    "Linear",
    "MaxPool",
    "Operation",
    "Pooling",
    "ReLU",
    "Rounding",
    "SumOrder",
    "Table",
    "first_difference",
    "load",
    "lower",
]
