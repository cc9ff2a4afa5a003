"""Training: the float network, and recipes that bring it to a low precision."""

from fewbits.train.evaluation import Evaluation, evaluate
from fewbits.train.progress import Progress, ProgressCallback
from fewbits.train.recipes import RECIPES, run_recipe, train_float
from fewbits.train.record import EpochRecord, TrainRecord
from fewbits.train.settings import TrainSettings

__all__ = [
    "RECIPES",
    "EpochRecord",
    "Evaluation",
    "Progress",
    "ProgressCallback",
    "TrainRecord",
    "TrainSettings",
    "evaluate",
    "run_recipe",
    "train_float",
]
