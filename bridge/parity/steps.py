"""Whether training does what MATLAB does: losses, rates and learnables of its first iterations, and gradients before
them.

bridgeReference saves them beside reference.mat: every iteration is over all observations in their order, so nothing is
left to chance. Learnables are compared by how far they have moved: a wrong rate shows long before it shows in the
weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bridge.arrays.lazy import Array, NDArray
from bridge.data.expected import lacking
from bridge.data.orders import arrange
from bridge.data.variables import Variables, texts
from bridge.errors import BridgeError, UnsupportedError, UsageError, reading
from bridge.modules.weights import as_array
from bridge.network import Network
from bridge.network.tensors import given_sizes, tensors, with_tensors
from bridge.options.options import Semantics, TrainingOptions, training_options
from bridge.options.profile import TrainingProfile
from bridge.parity.causes.diagnosis import Cause
from bridge.parity.check import Check, facts
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.profiles import Profile
from bridge.parity.records import Record, count, number, record_of, structs, text
from bridge.parity.references import Reference, read
from bridge.parity.report.evidence import Evidence
from bridge.tables.layers import table
from bridge.training.train import train

FORMAT = "bridge.steps/1"
LAST_PLACES = 2.0**-22  # of a learnable: two roundings of single precision, the update and its rounding
Rows = Iterator[LayerDifference]


def check_steps(
    network: Network,
    steps: str | Path,
    *,
    semantics: Mapping[str, Any] | None = None,
    settled: TrainingProfile | None = None,
    profile: str = "matlab",
) -> Check:
    """Repeat the training iterations that bridgeReference saved, and compare what each of them gave.

    Where they differ, every other choice of the training switches is tried.

    Args:
        network: the untrained network.
        steps: reference.steps.mat; reference.mat, with the inputs, lies beside it.
        semantics: switches of training.
        settled: the profile of a release, for the switches that `semantics` leaves open.
        profile: the tolerance, relative to how far a learnable has moved, and to losses and rates.

    Raises:
        UnreadableError: a file is damaged, or no steps of bridgeReference.
        UsageError: the files are of another network, or the inputs are missing.
        UnsupportedError: the loss is a function of MATLAB code.
    """
    path = Path(steps)
    hint = "bridgeReference(..., 'Steps', 5, 'Targets', T, 'TrainingOptions', {...})"
    held = Variables.of(path).require_format(FORMAT, "holds no training steps", hint)
    beside = path.with_name(path.name.replace(".steps.mat", ".mat"))
    if beside == path or not beside.is_file():
        raise UsageError(
            f"the inputs of {path.name} are missing",
            "they are in the reference that was saved with it",
            f"put {beside.name} beside it",
        )
    reference, tolerance = read(beside, network), Profile.of(profile)
    training = _Training(network, held, reference, tolerance, f"the steps in {path}")
    switches = {**(settled.of(training.trainer) if settled else {}), **(semantics or {})}
    found = training.compared(switches)
    cause, tried = (None, None) if found.first_above is None else training.switched(switches)
    known = {**facts(network.source.path, path, beside), **reference.facts}
    known |= (
        {"training switches": ", ".join(f"{name} = {value!r}" for name, value in switches.items())} if switches else {}
    )
    known |= {"training profile": settled.name} if settled else {}
    return Check(
        network.source.path, found, tolerance, cause, tried, tuple(training.notes), known, evidence=Evidence(network)
    )


class _Training:
    """The training that a steps file tells of."""

    def __init__(
        self, network: Network, held: Mapping[str, Any], reference: Reference, profile: Profile, what: str
    ) -> None:
        self.network, self.reference, self.profile, self.notes = network, reference, profile, list[str]()
        with reading(what):
            self.trainer, self.loss = text(held, "Trainer"), text(held, "Loss")
            samples, seed = count(held, "Samples", 1), count(held, "Seed")
            self.steps = [_step(each, k, samples, seed) for k, each in enumerate(structs(held, "Steps"), 1)]
            self.gradients = (
                _Gradients.of(held["Gradients"], samples, seed) if isinstance(held["Gradients"], dict) else None
            )
            solver, *pairs = (
                held["TrainingOptions"]
                if isinstance(held["TrainingOptions"], list) and held["TrainingOptions"]
                else ["sgdm"]
            )
            self.solver, self.options = (
                str(solver),
                {str(name): _plain(value) for name, value in zip(pairs[::2], pairs[1::2], strict=True)},
            )
            self.targets = self._targets(held["Targets"])
        self.name = what.removeprefix("the steps in ").rpartition("/")[2]

    def _targets(self, value: Any) -> Any:
        labels = texts(value)
        if labels is not None:
            return labels
        size = self.network.size_of(self.network.outputs[0])
        if isinstance(value, list):
            return [number(each, array=True) for each in value]
        array = number(value, array=True)
        if not size.spatial and array.ndim > 2:  # 1 x 1 x responses x observations
            array = array.reshape(array.shape[-2], array.shape[-1]).T
        return arrange(array, size, None if size.spatial else "NC", "the targets", matlab=True)

    def compared(self, switches: Mapping[str, Any]) -> Comparison:
        """Train anew and compare."""
        return Comparison(self.name, tuple(self._rows(switches)), "number")

    def switched(self, switches: Mapping[str, Any]) -> tuple[Cause | None, int]:
        """Try every other choice of each switch; return the one with which all agrees."""
        now, tried = Semantics.of(self.trainer, switches), 0
        lacks = lacking(self.network, self.trainer)
        for name, row in table("solvers")["semantics"].items():
            for choice in row["choices"]:
                if choice == getattr(now, name) or not lacks.isdisjoint(row.get("needs", ())):
                    continue
                tried += 1
                with suppress(BridgeError):
                    found = self.compared({**switches, name: choice})
                    if found.first_above is None and found.worst is not None:
                        return Cause(
                            "training switch", "", f"{name} is {choice!r}: {row['meaning']}", found.worst.relative
                        ), tried
        return None, tried

    def _rows(self, switches: Mapping[str, Any]) -> Rows:
        if self.gradients is not None:
            yield from self._of_gradients(self.gradients)
        before, loss = (
            self.reference.parameters,
            self.loss if self.trainer == "trainnet" else None,
        )  # trainNetwork's is the output layer's
        for k, step in enumerate(self.steps, 1):
            info = train(self.network, self._data(), self._options(k, switches), loss=loss, layout="NCHW")
            assert info.network is not None
            yield self._number(f"learn rate of iteration {k}", float(info.column("BaseLearnRate")[k - 1]), step.rate)
            yield self._number(f"loss of iteration {k}", float(info.column("TrainingLoss")[k - 1]), step.loss)
            arrays = {(layer.name, name): each.array for layer, name, each in info.network.learnables()}
            arrays |= {
                (layer.name, name): array for layer in info.network.layers for name, array in layer.state.items()
            }
            for where, record in step.records.items():
                label = f"{where[0]}/{where[1]} after iteration {k}"
                yield self._record(label, arrays.get(where), record, before.get(where))

    def _options(self, iterations: int, switches: Mapping[str, Any]) -> TrainingOptions:
        options = training_options(self.solver, trainer=self.trainer, semantics=switches, **self.options)
        return options.replace(
            MaxEpochs=iterations, MiniBatchSize=self.reference.observations, Shuffle="never", Verbose=False
        )

    def _data(self) -> tuple[Any, Any]:
        inputs = self.reference.inputs[0]
        if not isinstance(inputs, list):
            return inputs.astype(np.float32), self.targets
        rows = [sequence[0].astype(np.float32) for sequence in inputs]
        return [each.T if self.trainer == "trainNetwork" else each for each in rows], self.targets

    # Gradients of the untouched network in training mode

    def _of_gradients(self, held: _Gradients) -> Rows:
        if self.loss not in OF_DLARRAYS:
            raise UnsupportedError(
                f"the loss '{self.loss}' is MATLAB code",
                "gradients are repeated for mse and crossentropy",
                "save them for one of these",
            )
        if isinstance(self.reference.inputs[0], list):
            self.notes.append("gradients over sequences were not compared")
            return
        model = self.network.to_torch().train().requires_grad_(True)
        y = model(torch.tensor(self.reference.inputs[0], dtype=torch.float32))
        value = OF_DLARRAYS[self.loss](y, self._target_tensor(y))
        value.backward()
        yield self._number("loss before training", float(value.detach()), held.loss)
        paths = {name: path for path, name in model.meta["layers"].items()}
        for (layer, name), record in held.records.items():
            array = self._gradient(layer, name, model.get_submodule(paths[layer])) if layer in paths else None
            yield self._record(f"gradient of {layer}/{name}", array, record, None)

    def _gradient(self, layer: str, name: str, module: torch.nn.Module) -> Array | None:
        known = self.network.layers[layer]
        given = given_sizes(self.network, known)
        locals_ = [each.local for each in tensors(known, given) if each.learnable]
        found = {
            local: as_array(value.grad) for local in locals_ if (value := module.get_parameter(local)).grad is not None
        }
        turned = with_tensors(known, given, found)
        return turned.learnables[name].array if found and name in turned.learnables else None

    def _target_tensor(self, y: Tensor) -> Tensor:
        if not (isinstance(self.targets, list) and isinstance(self.targets[0], str)):
            return torch.tensor(np.asarray(self.targets), dtype=torch.float32).reshape(y.shape)
        classes = self.network.classes or self.reference.classes or tuple(sorted(set(self.targets)))
        return torch.nn.functional.one_hot(
            torch.tensor([classes.index(each) for each in self.targets]), len(classes)
        ).float()

    # Rows

    def _number(self, label: str, ours: float, theirs: float) -> LayerDifference:
        return LayerDifference(label, abs(ours - theirs), abs(theirs), self.profile.allowed(label, abs(theirs)), 1)

    def _record(self, label: str, array: Array | None, record: Record, before: Record | None) -> LayerDifference:
        if array is None or array.size != record.elements:
            return LayerDifference(
                label,
                float("inf"),
                record.scale,
                0.0,
                size=f"{0 if array is None else array.size} values, expected {record.elements}",
            )
        ours: NDArray = array.read().astype(np.float64).reshape(-1, order="F")
        distance = np.abs(ours[record.index] - record.value)
        moved = before is not None and len(before.value) == len(record.value)
        scale = float(np.abs(record.value - before.value).max()) if moved and before is not None else record.scale
        # what MATLAB did not move at all may not move here either
        allowed = (0.0 if moved and not scale else self.profile.allowed(label, scale)) + (
            LAST_PLACES * record.scale if moved else 0.0
        )
        largest = max(float(distance.max(initial=0.0)), abs(float(ours.mean()) - record.mean))
        return LayerDifference(
            label, largest, scale, allowed, len(record.index), outside=float((distance > allowed).mean())
        )


Records = Mapping[tuple[str, str], Record]  # by layer and the name of the learnable or statistic


@dataclass(frozen=True)
class _Gradients:
    """What MATLAB found before training: the loss, and the gradient of each learnable."""

    loss: float
    records: Records

    @staticmethod
    def of(held: Mapping[str, Any], samples: int, seed: int) -> _Gradients:
        return _Gradients(
            float(number(held["Loss"])), _records(structs(held, "Learnables"), samples, seed, "gradient of")
        )


@dataclass(frozen=True)
class _Step:
    """An iteration of MATLAB's: its rate, the loss before it, and what changed in it."""

    rate: float
    loss: float
    records: Records


def _step(held: Mapping[str, Any], k: int, samples: int, seed: int) -> _Step:
    if count(held, "Iteration") != k:
        raise ValueError(f"step {k} is of iteration {count(held, 'Iteration')}")
    records = _records([*structs(held, "Learnables"), *structs(held, "State")], samples, seed, f"iteration {k}:")
    return _Step(float(number(held["LearnRate"])), float(number(held["Loss"])), records)


def _records(held: Iterable[Mapping[str, Any]], samples: int, seed: int, what: str) -> Records:
    keys = [(text(each, "Layer"), text(each, "Parameter")) for each in held]
    return {
        key: record_of(each, samples, seed, f"{what} {'/'.join(key)}") for key, each in zip(keys, held, strict=True)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (str, list)):
        return value
    array = number(value, array=True)
    if array.size != 1:
        return array.reshape(-1).tolist()
    found = array.reshape(-1)[0].item()
    return int(found) if isinstance(found, float) and found.is_integer() else found


# What dlarray functions of these names compute, documented: half the squared error, and the cross entropy, an
# observation.
OF_DLARRAYS = {
    "mse": lambda y, t: (y - t).square().sum() / (2 * len(y)),
    "crossentropy": lambda y, t: -(t * y.log()).sum() / len(y),
}
