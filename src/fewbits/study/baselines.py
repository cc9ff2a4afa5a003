"""The energy of a network at float32, which all runs of the network are compared with: computed once, kept on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from fewbits.study.digest import json_sha256
from fewbits.study.networks import baseline_path
from fewbits.study.result import FLOAT_RECIPE
from fewbits.study.tasks import CostBasis, Run, run_of
from fewbits.tensor_file import DamagedFileError, read_tensors, write_tensors


@dataclass(frozen=True)
class Baseline:
    """Where the energy of an image at float32 is kept."""

    path: Path
    key: str
    """Hash of all that defines the energy."""

    def kept(self) -> float | None:
        """The energy of an image, uJ; None if there is no whole file of this key, so that it is computed."""
        try:
            _, record = read_tensors(self.path, needs_digest=True)
        except (OSError, DamagedFileError):
            return None
        return float(record["energy_uj"]) if record.get("key") == self.key else None

    def keep(self, energy_uj: float) -> float:
        """Keep the energy, and return it. Raises StudyError if it cannot be written."""
        write_tensors(self.path, {}, json.dumps({"key": self.key, "energy_uj": energy_uj}))
        return energy_uj


def baseline_of(run: Run, folder: Path, *, from_operands: bool) -> Baseline:
    """The baseline of a run of a study in a folder.

    from_operands: whether power comes from the network's own operands, or from the activity that is assumed.
    """
    base = run.float_training
    float_run = run_of(FLOAT_RECIPE, 1.0, base, base, CostBasis(run.technology, run.technology_sha256, run.accelerator))
    key = json_sha256({"run": float_run.key, "from_operands": from_operands})
    return Baseline(baseline_path(folder, replace(base, key=key).stem), key)
