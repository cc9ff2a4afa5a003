"""Quantized layers and roundings: formats, radix points and gradients of one tensor."""
