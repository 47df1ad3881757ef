"""An independent trainer in float64 numpy for the network of `nets.mlp`, written from the facts: no torch, no code of bridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
EPSILON, DECAY = 1e-5, 0.1  # of batch normalisation
FACTORS = {
    "W1": (0.5, 2.0),
    "b1": (1.0, 0.0),
    "scale": (1.0, 1.0),
    "offset": (1.0, 1.0),
    "W2": (10.0, 1.0),
    "b2": (20.0, 0.0),
}


@dataclass(frozen=True)
class Recipe:
    """What is trained, in MATLAB's words."""

    trainer: str
    solver: str
    classifies: bool
    rate: float = 0.01
    momentum: float = 0.9
    l2: float = 0.01
    size: int = 4
    epochs: int = 3
    drop: float = 0.5
    period: int = 1
    frequency: int = 3
    population: bool = True
    best: bool = False


@dataclass
class Log:
    """What the trainer found."""

    losses: list[float] = field(default_factory=list)
    metrics: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    validations: dict[int, tuple[float, float]] = field(default_factory=dict)
    final: tuple[float, float] = (np.nan, np.nan)
    weights: dict[str, Array] = field(default_factory=dict)
    moving: tuple[Array, Array] = (np.empty(0), np.empty(0))
    output: int = 0


class MiniTrainer:
    """fc1, tanh, batch normalisation, fc2, and softmax with cross entropy or half the squared error."""

    def __init__(self, recipe: Recipe, weights: dict[str, Array], mean: Array, variance: Array) -> None:
        self.recipe, self.w = recipe, {name: value.copy() for name, value in weights.items()}
        self.moving = (mean.copy(), variance.copy())
        self.first = {name: np.zeros_like(value) for name, value in weights.items()}
        self.second = {name: np.zeros_like(value) for name, value in weights.items()}

    def train(self, x: Array, y: Array, order: Sequence[Array], validation: tuple[Array, Array]) -> Log:
        r, log = self.recipe, Log()
        self.centre, self.spread = x.mean(0), x.std(0)
        per_epoch = max(len(x) // r.size, 1)
        last = r.epochs * per_epoch
        best: tuple[float, int, Any] = (np.inf, 0, None)
        iteration = 0
        if r.trainer == "trainnet":
            log.validations[0] = self.evaluate(*validation)
            best = (log.validations[0][0], 0, ({n: v.copy() for n, v in self.w.items()}, self.moving))
        for epoch in range(1, r.epochs + 1):
            for start in range(0, per_epoch * r.size, r.size):
                iteration += 1
                chosen = order[epoch - 1][start : start + r.size]
                rate = r.rate * r.drop ** ((epoch - 1) // r.period)
                loss, metric = self.step(x[chosen], y[chosen], rate, iteration)
                log.losses.append(loss)
                log.metrics.append(metric)
                log.rates.append(rate)
                first = iteration == 1 and r.trainer == "trainNetwork"
                if first or iteration % r.frequency == 0 or iteration == last:
                    log.validations[iteration] = self.evaluate(*validation)
                    if log.validations[iteration][0] < best[0]:
                        best = (
                            log.validations[iteration][0],
                            iteration,
                            ({n: v.copy() for n, v in self.w.items()}, self.moving),
                        )
        log.output = last
        if r.best:
            log.output, (self.w, self.moving) = best[1], best[2]
        if r.population:
            hidden = np.tanh(self.normal(x) @ self.w["W1"].T + self.w["b1"])
            self.moving = (hidden.mean(0), hidden.var(0))
        log.final, log.weights, log.moving = self.evaluate(*validation), self.w, self.moving
        return log

    def normal(self, x: Array) -> Array:
        return (x - self.centre) / self.spread

    def step(self, x: Array, y: Array, rate: float, iteration: int) -> tuple[float, float]:
        w = self.w
        z = self.normal(x)
        a = np.tanh(z @ w["W1"].T + w["b1"])
        mean, variance = a.mean(0), a.var(0)
        self.moving = tuple(
            DECAY * new + (1 - DECAY) * old for new, old in zip((mean, variance), self.moving, strict=True)
        )  # type: ignore[assignment]
        inverse = 1 / np.sqrt(variance + EPSILON)
        n = (a - mean) * inverse
        out = (n * w["scale"] + w["offset"]) @ w["W2"].T + w["b2"]
        loss, metric, d_out = self.loss(out, y)
        d_h = d_out @ w["W2"]
        d_n = d_h * w["scale"]
        d_a = inverse * (d_n - d_n.mean(0) - n * (d_n * n).mean(0))
        d_z = d_a * (1 - a**2)
        gradient = {"W1": d_z.T @ z, "b1": d_z.sum(0), "scale": (d_h * n).sum(0), "offset": d_h.sum(0)}
        gradient |= {"W2": d_out.T @ (n * w["scale"] + w["offset"]), "b2": d_out.sum(0)}
        for name, g in gradient.items():
            self.update(name, g + self.recipe.l2 * FACTORS[name][1] * w[name], rate * FACTORS[name][0], iteration)
        return loss, metric

    def update(self, name: str, g: Array, rate: float, t: int) -> None:
        if self.recipe.solver == "sgdm":
            self.first[name] = self.recipe.momentum * self.first[name] - rate * g
            self.w[name] = self.w[name] + self.first[name]
            return
        self.first[name] = 0.9 * self.first[name] + 0.1 * g
        self.second[name] = 0.999 * self.second[name] + 0.001 * g**2
        self.w[name] = self.w[name] - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * self.first[name] / (
            np.sqrt(self.second[name]) + 1e-8
        )

    def loss(self, out: Array, y: Array) -> tuple[float, float, Array]:
        """Return the loss, the metric of the log and the gradient."""
        count = len(out)
        if self.recipe.classifies:
            p = np.exp(out - out.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            truth = np.eye(out.shape[1])[y]
            return float(-np.log(p[truth == 1]).mean()), float(100 * (p.argmax(1) == y).mean()), (p - truth) / count
        error = out - y
        squares = float((error**2).sum() / count)
        if self.recipe.trainer == "trainNetwork":
            return squares / 2, np.sqrt(squares), error / count
        return float((error**2).mean()), float(np.sqrt((error**2).mean())), 2 * error / error.size

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        w, (mean, variance) = self.w, self.moving
        a = np.tanh(self.normal(x) @ w["W1"].T + w["b1"])
        h = (a - mean) / np.sqrt(variance + EPSILON) * w["scale"] + w["offset"]
        return self.loss(h @ w["W2"].T + w["b2"], y)[:2]
