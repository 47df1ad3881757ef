"""Run a model and hold each layer against an oracle while it runs; no activation is kept.

The model is watched through forward hooks, so any torch module will do. The oracle is asked for a layer at the moment
the model has computed it: another network runs in lockstep and is only as far ahead as that layer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from bridge.errors import UsageError
from bridge.modules.factors import layer_of
from bridge.modules.windows import PoolingWithIndices
from bridge.network import Network
from bridge.network.blame import computing
from bridge.parity.differences import Comparison
from bridge.parity.profiles import Profile
from bridge.parity.tally import Pair, Tally

Look = Callable[[str, nn.Module, tuple[Any, ...], Any], Any]
OUTPUT = "output"  # what the result of a module without layer names is called


@dataclass(frozen=True, eq=False)
class Batch:
    """Observations that run together: one tensor for each input of the network, and the number of the first of them,
    from 0.
    """

    inputs: tuple[Tensor, ...]
    start: int = 0


Expected = Callable[[Tensor], Pair]  # pairs the model's values with the oracle's


class Oracle(Protocol):
    """What the layers of a model are held against."""

    @property
    def name(self) -> str:
        """What it is called in a verdict: "onnxruntime", "reference.mat"."""

    @property
    def layers(self) -> Mapping[str, str]:
        """What it knows: the model's layer name -> its own."""

    @property
    def models(self) -> tuple[nn.Module, ...]:
        """The modules that it runs itself."""

    def begin(self, batch: Batch) -> None:
        """Begin a batch."""

    @property
    def network(self) -> Network | None:
        """The network it is, where it is one."""

    def expect(self, layer: str) -> Expected | None:
        """Return what is expected of the layer in this batch; asked for once, in the order in which the layers run."""

    def indices(self, layer: str) -> Tensor | None:
        """Return the oracle's choice of maxima of a pooling layer with indices."""

    def beyond(self, layer: str) -> float:
        """Return the largest difference that shows beyond the pairs: in statistics of the whole layer."""


@dataclass(frozen=True)
class Subject:
    """A model under check: what runs, and which of its submodules is which layer.

    Attributes:
        model: the module.
        layers: layer name -> submodule path.
        outputs: the layers whose values the model returns.
        network: what the model was built from, where known.
        named: whether its user told which submodule is which layer; then not all need be.
        prepare: what is done to each input first; hypotheses change it.
        replaced: modules that stand in for those of the model, by layer; hypotheses fill it.
    """

    model: nn.Module
    layers: Mapping[str, str]
    outputs: tuple[str, ...]
    network: Network | None = None
    named: bool = False
    prepare: Callable[[Tensor], Tensor] = lambda x: x
    replaced: Mapping[str, nn.Module] = field(default_factory=dict)

    @staticmethod
    def of(
        model: nn.Module | Network, *, network: Network | None = None, names: Mapping[str, str] | None = None
    ) -> Subject:
        """Return a network or module as a subject.

        Args:
            model: a network, a module of `Network.to_torch` (also inside a bigger one), or any other module.
            network: what a module was built from; with it the diagnosis knows MATLAB's properties and learnables.
            names: layer name -> submodule path, for modules that `bridge` has not built.

        Raises:
            UsageError: no layer is known, or a submodule does not exist.
        """
        if isinstance(model, Network):
            return Subject.of(model.to_torch(), network=model)
        model = getattr(model, "_orig_mod", model)  # hooks do not fire inside what torch.compile made
        layers = dict(names or {})
        for path, part in model.named_modules():
            name = layer_of(part)
            if name is not None:
                layers.setdefault(name, path)
        if isinstance(model, fx.GraphModule) and "layers" in model.meta:
            layers = {name: path for path, name in model.meta["layers"].items()} | layers
        paths = {path for path, _ in model.named_modules()}
        lost = next((path for path in layers.values() if path not in paths), None)
        if lost is not None:
            raise UsageError(
                f"the module has no submodule '{lost}'",
                f"it has {', '.join(sorted(paths)[1:9])} ...",
                "names maps layers to submodules",
            )
        outputs = _output_layers(model, layers) if isinstance(model, fx.GraphModule) else ()
        if not outputs:
            outputs, layers = (OUTPUT,), {**layers, OUTPUT: ""}
        return Subject(model, layers, outputs, network, bool(names))

    def module(self, layer: str) -> nn.Module:
        """Return the module that computes a layer."""
        return self.replaced[layer] if layer in self.replaced else self.model.get_submodule(self.layers[layer])

    def with_modules(self, modules: Mapping[str, nn.Module]) -> Subject:
        """Return this subject with other modules in the place of some layers'."""
        return replace(self, replaced={**self.replaced, **modules})

    @property
    def device(self) -> torch.device:
        """Where the model's tensors lie."""
        held = next((tensor for tensor in (*self.model.parameters(), *self.model.buffers())), None)
        return torch.device("cpu") if held is None else held.device

    def prepared(self, batch: Batch) -> Batch:
        """Return the batch as the model is to get it."""
        device = self.device
        return replace(batch, inputs=tuple(self.prepare(x.to(device)) for x in batch.inputs))

    @contextmanager
    def watched(self, look: Look) -> Iterator[Callable[[Batch], Any]]:
        """Yield a function that runs the model on a batch and calls `look` after every layer.

        Whatever `look` returns, but for None, takes the place of the layer's output.
        """
        with self._as_replaced():
            handles = [
                self.model.get_submodule(path).register_forward_hook(_hook(name, look))
                for name, path in self.layers.items()
            ]
            try:
                yield self._run
            finally:
                for handle in handles:
                    handle.remove()

    def _run(self, batch: Batch) -> Any:
        with self.running():
            return self.model(*self.prepared(batch).inputs)

    def running(self) -> AbstractContextManager[None]:
        """Tell what the module of a network raises; what a module of the user's raises is the user's to see."""
        own = self.network is not None and isinstance(self.model, fx.GraphModule)
        return computing(self.network.layers, "its inputs") if own and self.network else nullcontext()

    @contextmanager
    def _as_replaced(self) -> Iterator[None]:
        own = {layer: self.model.get_submodule(self.layers[layer]) for layer in self.replaced}
        try:
            for layer, module in self.replaced.items():
                self.model.set_submodule(self.layers[layer], module)
            yield
        finally:
            for layer, module in own.items():
                self.model.set_submodule(self.layers[layer], module)


def _hook(name: str, look: Look) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    return lambda module, inputs, output: look(name, module, inputs, output)


def _output_layers(model: fx.GraphModule, layers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the layers whose values a graph returns, looking through the functions behind them."""
    names = {path: name for name, path in layers.items()}
    returned = next(node for node in model.graph.nodes if node.op == "output").all_input_nodes
    found = []
    for node in returned:
        while node.op == "call_function" and len(node.all_input_nodes) == 1:
            node = node.all_input_nodes[0]
        if node.op == "call_module" and node.target in names:
            found.append(names[node.target])
    return tuple(found) if len(found) == len(returned) else ()


@contextmanager
def exactly(*models: nn.Module) -> Iterator[None]:
    """Compute as exactly as the hardware can: eval mode, nothing in place, no TF32, no choice of kernels by timing, no
    gradients.
    """
    training = [(part, part.training) for model in models for part in model.modules()]
    in_place: list[Any] = [part for model in models for part in model.modules() if getattr(part, "inplace", False)]
    for model in models:
        model.eval()
    for part in in_place:
        part.inplace = False
    try:
        with torch.no_grad(), _in_single_precision():
            yield
    finally:
        for part in in_place:
            part.inplace = True
        for part, mode in training:
            part.training = mode


@contextmanager
def _in_single_precision() -> Iterator[None]:
    """Compute without TF32, bfloat16 and a choice of kernels by timing.

    Since 2.9 torch has a switch of precision for each library and kind of operation, and raises where a program that
    has set one of them asks for the old, common ones.
    """
    cudnn, mkldnn, matmul = torch.backends.cudnn, torch.backends.mkldnn, torch.backends.cuda.matmul
    parts = [getattr(library, kind, None) for library in (cudnn, mkldnn) for kind in ("matmul", "conv", "rnn")]
    precise = [each for each in (torch.backends, matmul, cudnn, mkldnn, *parts) if hasattr(each, "fp32_precision")]
    switches: list[tuple[Any, str, Any]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    switches += [(each, "fp32_precision", "ieee") for each in precise] or [(cudnn, "allow_tf32", False)]
    before = [getattr(where, name) for where, name, _ in switches]
    common = "" if precise else torch.get_float32_matmul_precision()
    try:
        for where, name, value in switches:
            setattr(where, name, value)
        if common:
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        for (where, name, _), value in zip(switches, before, strict=True):
            setattr(where, name, value)
        if common:
            torch.set_float32_matmul_precision(common)


class Reached(BaseException):  # no error: it passes what tells errors
    """The layer up to which a model was to run has run."""


def compare(
    subject: Subject, batches: Sequence[Batch], oracle: Oracle, profile: Profile, until: str = ""
) -> Comparison:
    """Run a model on each batch and compare every layer that the oracle knows.

    Args:
        subject: the model.
        batches: its inputs, in torch's layout.
        oracle: what the layers are held against.
        profile: how far they may differ.
        until: the last layer of interest; the model stops behind it.

    Raises:
        UnreadableError: a layer has NaN or infinite values on one side only.
        UsageError: a submodule runs twice, so it cannot stand for one layer; no layer could be compared.
    """
    tallies: dict[str, Tally] = {}
    seen: set[str] = set()
    number = 0

    def look(layer: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if layer not in oracle.layers:
            return None
        if layer in seen:
            raise UsageError(
                f"the submodule of layer '{layer}' runs twice",
                "then no one layer has its values",
                "map names to modules that run once",
            )
        seen.add(layer)
        tally = tallies.setdefault(layer, Tally(layer, profile))
        value = first(output)
        expected = oracle.expect(layer)
        if expected is not None:
            tally.add(expected(value), number)
        chosen = oracle.indices(layer) if isinstance(module, PoolingWithIndices) else None
        changed = None
        if chosen is not None and chosen.shape == output[1].shape:
            values, changed = with_indices(inputs[0], output, chosen)
            tally.add(Pair(values, output[0]), number)
        if layer == until:
            raise Reached
        return changed

    with subject.watched(look) as run, exactly(subject.model, *subject.replaced.values(), *oracle.models):
        for number, batch in enumerate(batches):  # noqa: B007 (look reads the number)
            seen.clear()
            oracle.begin(batch)
            with suppress(Reached):
                run(batch)
    found = tuple(tally.result(oracle.beyond(layer)) for layer, tally in tallies.items() if tally.compared)
    if not found:
        raise UsageError(
            f"no layer of the model ran that {oracle.name} knows",
            "they have no layer in common",
            "compare files of the same network",
        )
    return Comparison(oracle.name, found)


@dataclass(frozen=True, eq=False)
class Captured:
    """What one layer computes in one batch, where all layers before it take over the oracle's choice of maxima.

    Attributes:
        ours: its values; None where it did not run.
        expected: what pairs them with the oracle's; None where the oracle has none.
        inputs: of the layers that were watched, by name.
    """

    ours: Any
    expected: Expected | None
    inputs: Mapping[str, tuple[Any, ...]]


def capture(subject: Subject, batch: Batch, oracle: Oracle, layer: str, watching: Collection[str] = ()) -> Captured:
    """Run a batch up to a layer, and keep its values and the inputs of the layers in `watching`."""
    inputs: dict[str, tuple[Any, ...]] = {}
    caught: list[Any] = [None, None]

    def look(name: str, module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        if name in watching:
            inputs[name] = given
        if name not in oracle.layers:
            return None
        expected, chosen = oracle.expect(name), oracle.indices(name)
        if name == layer:
            caught[:] = first(output), expected
            raise Reached
        same = chosen is not None and isinstance(output, tuple) and chosen.shape == output[1].shape
        return with_indices(given[0], output, chosen)[1] if same and chosen is not None else None

    with subject.watched(look) as run, exactly(subject.model, *oracle.models), suppress(Reached):
        oracle.begin(batch)
        run(batch)
    return Captured(caught[0], caught[1], inputs)


def first(output: Any) -> Any:
    """Return the value of a layer's first output port."""
    return output[0] if isinstance(output, tuple) else output


def places(expected: Expected, ours: Tensor) -> Tensor:
    """Return where, among a layer's values, those stand that are compared, in their order: told by pairing positions in
    the place of values.
    """
    return (
        expected(torch.arange(ours.numel(), dtype=torch.float64, device=ours.device).view(ours.shape))
        .ours.reshape(-1)
        .long()
    )


def with_indices(x: Tensor, output: tuple[Any, ...], chosen: Tensor) -> tuple[Tensor, Any]:
    """Return the values at the oracle's choice of maxima, which should be maxima too, and the output with that choice.

    Where two values of a window are equal to rounding, either may win, and an unpooling puts the winner elsewhere.
    """
    indices = chosen.to(x.device) % (x.shape[2] * x.shape[3])
    return x.flatten(2).gather(2, indices.flatten(2)).view_as(output[0]), (output[0], indices, output[2])
