"""Bit-exact networks as files for others: what writes them, by name."""

from fewbits.export.exporters import EXPORTERS, Exporter, export_network

__all__ = ["EXPORTERS", "Exporter", "export_network"]
