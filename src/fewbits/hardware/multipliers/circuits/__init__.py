"""Circuits of multipliers in Amaranth."""
