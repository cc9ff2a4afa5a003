"""Knowledge distillation: the float network teaches the low-precision one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.train.loop import Loss, do_nothing
from fewbits.train.memory_layout import choose_layout
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord


def distill(run: RecipeRun) -> TrainRecord:
    """Fine-tuning towards the float network's soft answers beside the labels.

    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (arXiv:1503.02531); between a float teacher
    and a low-precision student: Mishra and Marr, "Apprentice" (arXiv:1711.05852). This is its scheme C: the student
    starts from the trained weights of the float network, here the teacher itself.
    """
    run.calibrate()
    return run.train(
        loss=distillation_loss(run),
        before_epoch=run.calibrate_again,
        after_step=clipper(run.model) if run.settings.clip_shadow_weights else do_nothing,
    )


def distillation_loss(run: RecipeRun) -> Loss:
    """Cross entropy with the labels, and with the teacher's answers at a temperature (arXiv:1503.02531, section 2).

    The teacher's part is multiplied by the squared temperature, so that its gradients keep their size.
    """
    teacher = _teacher(run)
    temperature, weight = run.options.temperature, run.options.distillation_weight

    def loss(inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            soft = F.softmax(teacher(inputs).to(logits.dtype) / temperature, dim=1)
        taught = F.cross_entropy(logits / temperature, soft) * temperature**2
        return weight * taught + (1 - weight) * F.cross_entropy(logits, labels)

    return loss


def _teacher(run: RecipeRun) -> nn.Module:
    """The float network in evaluation mode, in the layout in which the student trains."""
    teacher = copy.deepcopy(run.float_model).to(run.device).eval().requires_grad_(False)
    choose_layout(teacher, run.data.inputs(run.data.train.images[:1]).to(run.device))
    return teacher
