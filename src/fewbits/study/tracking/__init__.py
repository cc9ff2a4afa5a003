"""Where a study's curves and figures go besides its own store: TensorBoard, MLflow and what extensions add."""

from __future__ import annotations

from fewbits.study.tracking.sinks import SINKS, Sink, SinkWriter, TrackedStudy
from fewbits.study.tracking.tracker import send_stored, tracked
from fewbits.study.tracking.wanted import open_sinks, parse_wanted

__all__ = ["SINKS", "Sink", "SinkWriter", "TrackedStudy", "open_sinks", "parse_wanted", "send_stored", "tracked"]
