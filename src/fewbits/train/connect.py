"""BinaryConnect and ternary connect: shadow weights that propagate as signs, or signs and zero, perhaps by chance."""

from __future__ import annotations

from fewbits.quantization import QuantizedLayer
from fewbits.quantization.methods.connect import StochasticSigns, TernaryConnect
from fewbits.train.learned_steps import train_with
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord


def binary_connect(run: RecipeRun) -> TrainRecord:
    """Signs in both passes, float updates of shadow weights, which are clipped at the signs' magnitude after each step.

    Courbariaux, Bengio and David, "BinaryConnect: training deep neural networks with binary weights during
    propagations" (arXiv:1511.00363). The magnitude is a power of two for each layer where the paper has 1 and scales
    learning rates instead.
    """
    run.calibrate()
    return run.train(before_epoch=lambda: run.calibrate(weights=False), after_step=clipper(run.model))


def stochastic_binary_connect(run: RecipeRun) -> TrainRecord:
    """The same with signs drawn anew for each step, 1 with probability (weight / magnitude + 1) / 2 (equation 2).

    In evaluation the sign is that of the weight, since the hardware holds signs; the paper evaluates this variant with
    its float weights (section 2.6, method 2).
    """
    run.calibrate()
    return _train(run, StochasticSigns())


def ternary_connect(run: RecipeRun) -> TrainRecord:
    """Ternary connect with quantized back-propagation.

    Lin, Courbariaux, Memisevic and Bengio, "Neural networks with few multiplications" (arXiv:1510.03009): a weight
    propagates as its sign with probability |weight| / magnitude, else as zero (section 3.2); in the weights' gradient
    the layer's inputs are rounded to powers of two, so that training shifts instead of multiplying (section 4). In
    evaluation weights are rounded to the nearest of the three.
    """
    run.calibrate()
    return _train(run, TernaryConnect())


def _train(run: RecipeRun, method: StochasticSigns | TernaryConnect) -> TrainRecord:
    def same(_: QuantizedLayer) -> StochasticSigns | TernaryConnect:
        return method

    return train_with(run, same, before_epoch=lambda: run.calibrate(weights=False), after_step=clipper(run.model))
