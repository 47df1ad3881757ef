"""Is this model the same as what MATLAB computed, or as another network? One call, one verdict."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from bridge import __version__
from bridge.detection.detector import Detector
from bridge.errors import DifferenceError, UnsupportedError, UsageError
from bridge.files.atomic import is_file, sha256
from bridge.network import Network
from bridge.network.contract import contracts
from bridge.parity import onnx_runtime
from bridge.parity.agreement import require_same_class_order, require_same_inputs, require_same_layers, uncompared
from bridge.parity.causes.detection import diagnose_detections
from bridge.parity.causes.diagnosis import Cause, Diagnosis, diagnose
from bridge.parity.causes.fit import Fit, fit
from bridge.parity.compare import Batch, Oracle, Subject, compare
from bridge.parity.detections import compare_detections, is_recorded, read_detections
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.oracles import Lockstep, OnnxRuntime, Recorded, Recording
from bridge.parity.profiles import Profile
from bridge.parity.records import Values
from bridge.parity.references import MOST_OBSERVATIONS, Labels, Names, Reference, read, read_inputs
from bridge.parity.report.evidence import Evidence, gather
from bridge.readers import load
from bridge.writers.folder import plain

SCHEMA = "bridge.check/1"
TRUE_LABELS = "labels are taken for those that MATLAB predicted; true ones are --targets (targets= in Python)"


@dataclass(frozen=True)
class Check:
    """What a check found. Everything in it but the evidence is a plain value; `to_json` gives those as JSON values.

    Attributes:
        model: what was checked, a path or a class.
        comparison: the layers, in the order they ran, against an oracle with a name.
        profile: the tolerance.
        cause: what makes the two agree, where they differ and a known cause does.
        tried: how many causes were tried; None where none is known.
        notes: what was not compared, and why.
        facts: versions and hashes.
        fit: the error against targets, where those are all there is to check against; then no layers are compared.
        evidence: what a report shows beyond these, where it was asked for.
    """

    model: str
    comparison: Comparison
    profile: Profile
    cause: Cause | None = None
    tried: int | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    fit: Fit | None = None
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether every layer agrees within the tolerance; of targets, whether no known mistake makes the
        error large.
        """
        return self.comparison.first_above is None and (self.fit is None or self.fit.cause is None)

    @property
    def layers(self) -> tuple[LayerDifference, ...]:
        """Every layer that was compared, in the order they ran."""
        return self.comparison.layers

    @property
    def first_divergence(self) -> LayerDifference | None:
        """The layer where the two begin to differ."""
        return self.comparison.first_divergence

    @property
    def verdict(self) -> str:
        """One line: PASSED, or FIRST DIVERGENCE and where."""
        return self.fit.verdict if self.fit is not None else self.comparison.verdict

    @property
    def explanation(self) -> str:
        """One line: the cause of a difference; "" where there is none to tell."""
        if self.passed:
            return ""
        if self.cause is not None:
            return f"cause: {self.cause}"
        if self.tried is None:
            return ""
        if not self.tried:
            return "cause: not looked for, the reference holds too few numbers to tell one from another"
        return f"cause: none of the {self.tried} known ones that were tried makes them agree"

    def require(self) -> Check:
        """Return this check if it passed.

        Raises:
            DifferenceError: it did not; the first diverging layer is named, and the cause where it is known.
        """
        if not self.passed:
            raise DifferenceError(
                f"{self.verdict}, against {self.comparison.oracle}", self.explanation.removeprefix("cause: ")
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; infinite numbers as texts."""
        first = self.first_divergence
        known = {
            "passed": self.passed,
            "verdict": self.verdict,
            "first_divergence": first.layer if first else None,
            **asdict(replace(self, evidence=None)),
            "layers": [{**asdict(each), "relative": each.relative, "differs": each.differs} for each in self.layers],
        }
        del known["evidence"]
        known["oracle"] = known.pop("comparison")["oracle"]
        known["cause"] = {**asdict(self.cause), "sentence": str(self.cause)} if self.cause else None
        return {name: plain(value) for name, value in known.items()}


def check(
    model: nn.Module | Network,
    reference: str | Path | Reference | None = None,
    *,
    against: str | Path | Network | nn.Module | None = None,
    profile: str = "matlab",
    tolerances: Mapping[str, float] | None = None,
    network: Network | None = None,
    names: Mapping[str, str] | None = None,
    data: Names | None = None,
    seed: int = 0,
    evidence: bool = False,
) -> Check:
    """Compare a model layer by layer with what MATLAB computed, or with another network, and say where they first
    differ.

    Args:
        model: a network, a module of `Network.to_torch`, or any torch module.
        reference: a reference.mat of bridgeReference.m, or a file with inputs and outputs (.mat, .npz, .csv).
        against: instead, another network: an .onnx (run by onnxruntime), a .mat, a saved folder, a network or a module.
            With neither, a network that was read from an .onnx is held against onnxruntime.
        profile: the tolerance: "exact", "float32", "matlab" or "float16".
        tolerances: others for single layers, by name or glob, relative to a layer's largest value; each must fit a
            layer.
        network: what a module was built from: sizes, class names and MATLAB's layouts.
        names: layer name -> submodule path, of the one of both modules that `bridge` has not built.
        data: the variables and dimension orders of a file that bridgeReference has not written, or the inputs for
            `against`.
        seed: of the random inputs that two networks are compared on, where `data` names none.
        evidence: whether to keep what `bridge.parity.report.page.write` shows beyond numbers: of all activations those
            of the first diverging layer in one batch.

    Raises:
        UsageError: the call makes no sense, the reference is of another network, or fits it in more than one way.
        UnreadableError: a file is damaged, or one side has NaN or infinite values.
    """
    if (data is not None and data.detections) or (data is None and is_recorded(reference)):
        return _against_detections(model, reference, Profile.of(profile, tolerances), data)
    of_model = names if isinstance(model, nn.Module) and not isinstance(model, fx.GraphModule) else None
    subject, tolerance = Subject.of(model, network=network, names=of_model), Profile.of(profile, tolerances)
    if reference is not None and against is not None:
        raise UsageError(
            "a reference and another network at once",
            "a check is against one of them",
            "name the inputs for another network with --inputs",
        )
    if reference is None:
        return _against_network(subject, tolerance, against, data, seed, None if of_model else names, evidence)
    held = reference if isinstance(reference, Reference) else read(Path(reference), subject.network, data)
    return (_against_targets if held.are_targets else _against_reference)(subject, tolerance, held, reference, evidence)


def _against_reference(subject: Subject, profile: Profile, held: Reference, file: object, evidence: bool) -> Check:
    oracle, batches = Recording(held, subject), _batches(held.inputs, held.batch, subject.network)
    notes = [*held.notes, *require_same_layers(held, subject), *_mismatches(subject.network, batches)]
    found = _checked(subject, batches, oracle, profile, notes, file, evidence)
    if found.passed:
        require_same_class_order(held, subject)
    elif any(isinstance(each, Labels) for each in held.outputs):
        found = replace(found, notes=(*found.notes, TRUE_LABELS))
    return replace(found, facts={**found.facts, **held.facts})


def _mismatches(network: Network | None, batches: Sequence[Batch]) -> list[str]:
    """Return what inputs of another range than the network was trained on are."""
    told = []
    for index, contract in enumerate(contracts(network) if network is not None else ()):
        given = [each.inputs[index] for each in batches if each.inputs[index].numel()]
        least, greatest = (
            min((float(x.min()) for x in given), default=0),
            max((float(x.max()) for x in given), default=0),
        )
        told.append(contract.mismatch(least, greatest))
    return [each for each in told if each]


def _against_detections(model: nn.Module | Network, reference: object, profile: Profile, data: Names | None) -> Check:
    if not isinstance(reference, (str, Path)):
        raise UsageError(
            "there are no detections to check against",
            "they are in a file",
            "name a .mat with boxes, scores and labels",
        )
    detector = Detector(model) if isinstance(model, Network) else model
    if not isinstance(detector, Detector):
        raise UsageError(
            f"{type(detector).__name__} finds no objects",
            "it is no Detector",
            "pass the Network, or network.to_detector()",
        )
    stored = read_detections(Path(reference), data, detector)
    profile.require([f"image {number}" for number in range(1, len(stored.images) + 1)])
    found = compare_detections(detector, stored, profile)
    cause, tried = (None, 0) if found.first_above is None else diagnose_detections(detector, stored, profile)
    path = detector.network.source.path
    return Check(path, found, profile, cause, tried, facts=facts(reference, path))


def _against_targets(subject: Subject, profile: Profile, held: Reference, file: object, evidence: bool) -> Check:
    profile.require(())
    found = fit(subject, _batches(held.inputs, held.batch, subject.network), held)
    note = (
        "targets are not what MATLAB computed: they show whether something is wrong, not that all numbers are the same"
    )
    compared, kept = Comparison(f"the targets {held.name}", ()), Evidence(subject.network) if evidence else None
    return Check(
        _name(subject), compared, profile, found.cause, found.tried, (note,), facts(file, _name(subject)), found, kept
    )


def _against_network(
    subject: Subject,
    profile: Profile,
    against: str | Path | Network | nn.Module | None,
    data: Names | None,
    seed: int,
    names: Mapping[str, str] | None,
    evidence: bool,
) -> Check:
    if data is not None and data != Names(data.inputs, input_dims=data.input_dims):
        raise UsageError(
            "a check against a network takes the inputs alone of what was named",
            "the outputs are the network's",
            "leave the others out",
        )
    other: Network | nn.Module | None = load(against) if isinstance(against, (str, Path)) else against
    if other is None:
        other = subject.network
        if other is None or other.source.format != "onnx":
            raise UsageError(
                "there is nothing to check against",
                "no reference is given",
                "name a reference, or another network with --against",
            )
    oracle = _oracle(other, subject, names)
    notes = uncompared(subject, oracle)
    network = subject.network or oracle.network
    if network is None:
        raise UsageError(
            "neither of the two modules tells the size of its inputs", hint="pass network=, or check against a network"
        )
    if subject.network is not None and oracle.network is not None:
        require_same_inputs(subject.network, oracle.network)
    fixed = next(
        (each.source.batch for each in (oracle.network, network) if each is not None and each.source.batch), None
    )
    inputs: Sequence[Values] = (
        read_inputs(network, data)
        if data is not None and data.inputs
        else onnx_runtime.sample_inputs(network, seed, fixed)
    )
    batches = _batches(inputs, fixed or MOST_OBSERVATIONS, network)
    try:
        return _checked(subject, batches, oracle, profile, notes, against, evidence)
    except UnsupportedError as error:
        if not isinstance(oracle, OnnxRuntime) or other is subject.network:
            raise
        note = (
            f"onnxruntime does not run the other network's file, so the module built from it is compared: {error.cause}"
        )
        return _checked(subject, batches, _lockstep(other, subject), profile, [*notes, note], against, evidence)


def _oracle(other: Network | nn.Module, subject: Subject, names: Mapping[str, str] | None) -> Oracle:
    """Return another network as an oracle: onnxruntime where there is an .onnx, which shares no code with what is
    checked.
    """
    if isinstance(other, Network) and other.source.format == "onnx" and is_file(other.source.path):
        return OnnxRuntime(other, subject)
    return _lockstep(other, subject, names)


def _lockstep(other: Network | nn.Module, subject: Subject, names: Mapping[str, str] | None = None) -> Oracle:
    theirs = Subject.of(other, names=names)
    label = Path(other.source.path).name if isinstance(other, Network) else type(theirs.model).__name__
    return (Lockstep if isinstance(theirs.model, fx.GraphModule) else Recorded)(label, theirs, subject)


def _checked(
    subject: Subject,
    batches: Sequence[Batch],
    oracle: Oracle,
    profile: Profile,
    notes: Sequence[str],
    file: object,
    evidence: bool,
) -> Check:
    profile.require(oracle.layers)
    found = compare(subject, batches, oracle, profile)
    diagnosis = (
        diagnose(subject, batches, oracle, profile, found) if found.first_above is not None else Diagnosis(None, 0)
    )
    kept = gather(subject, batches, oracle, found) if evidence else None
    return Check(
        _name(subject),
        found,
        profile,
        diagnosis.cause,
        diagnosis.tried,
        tuple(notes),
        facts(file, _name(subject)),
        evidence=kept,
    )


def _name(subject: Subject) -> str:
    return subject.network.source.path if subject.network else type(subject.model).__name__


def _batches(inputs: Sequence[Values], size: int, network: Network | None) -> list[Batch]:
    """Divide the observations; sequences in cells run one by one, sequences in one array all at once, as in MATLAB."""
    count, names = len(inputs[0]), network.inputs if network is not None else ()
    over_time = network is not None and any(network.sizes[name][0].over_time for name in names)
    size = 1 if isinstance(inputs[0], list) else count if over_time else size
    kinds = (
        [str(network.layers[name].properties.get("Type", "float32")) for name in names]
        if network is not None
        else ["float32"] * len(inputs)
    )
    return [
        Batch(tuple(_part(values, start, size, kind) for values, kind in zip(inputs, kinds, strict=True)), start)
        for start in range(0, count, size)
    ]


def _part(values: Values, start: int, size: int, kind: str) -> torch.Tensor:
    whole = not isinstance(values, list) and values.ndim == 0  # an input of an ONNX graph that has no observations
    part = values if whole else values[start] if isinstance(values, list) else values[start : start + size]
    return torch.from_numpy(np.array(part, kind))


def facts(*files: Any) -> dict[str, str]:
    """Return versions, and the hashes of the files that were checked; what is no file is passed over."""
    paths = [Path(file) for file in files if isinstance(file, (str, Path))]
    hashes = {f"sha256 of {path.name}": sha256(path) for path in paths if is_file(path)}
    return {"bridge": __version__, "torch": torch.__version__, "python": platform.python_version(), **hashes}
