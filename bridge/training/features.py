"""The part of a network that training does not change: found, split off, and computed once for each observation.

Layers before the first learnable that trains need no gradient; torch's autograd records nothing for them, since neither
their inputs nor their learnables require one. Of these, the layers that give the same output whenever they get the same
input can be computed once.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bridge.data.kept import is_free, room_needed
from bridge.data.sources import DatasetSource, Source

REPEATABLE = (
    operator.getitem,
    torch.flatten,
    "size",
    "unflatten",
)  # what the graphs of Network.to_torch() do beside calling layers


def without_softmax(model: fx.GraphModule) -> fx.GraphModule | None:
    """Return a module over the same layers that ends before the softmax that `model` ends in; None where it ends in
    none.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(model.graph, {}))
    node = _result(graph)
    while node is not None and node.op == "call_function" and node.target is torch.flatten:
        node = node.args[0]  # type: ignore[assignment]
    if node is None or node.op != "call_module" or not isinstance(model.get_submodule(str(node.target)), nn.Softmax):
        return None
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    graph.erase_node(node)
    return fx.GraphModule(model, graph)


def _result(graph: fx.Graph) -> fx.Node | None:
    """Return the node of a graph's only output, or None where it has several."""
    output = next(node for node in graph.nodes if node.op == "output").args[0]
    return output if isinstance(output, fx.Node) else None


@dataclass(frozen=True)
class Split:
    """A network in two parts.

    Attributes:
        fixed: from the inputs to the features, a tuple; None where nothing can be split off.
        rest: from the features to the outputs; the whole network where `fixed` is None.
        reason: why nothing can be split off, or what ended the fixed part.
        layers: how many layers with learnables are in the fixed part.
    """

    fixed: fx.GraphModule | None
    rest: nn.Module
    reason: str
    layers: int = 0


def split(model: nn.Module) -> Split:
    """Split a module where its output begins to depend on chance, on the rest of the mini-batch or on a learnable that
    trains.
    """
    if not isinstance(model, fx.GraphModule):
        return Split(None, model, "the model is no module of Network.to_torch()")
    fixed: dict[fx.Node, bool] = {}
    reason = ""
    for node in model.graph.nodes:
        own = _obstacle(model, node)
        fixed[node] = not own and all(fixed[each] for each in node.all_input_nodes)
        if own and not reason and node.op != "output" and all(fixed[each] for each in node.all_input_nodes):
            reason = own
    learned = [node for node in model.graph.nodes if fixed[node] and _learnables(model, node)]
    if not learned:
        return Split(None, model, reason)
    border = [node for node in fixed if fixed[node] and any(not fixed[user] for user in node.users)]
    return Split(_first_part(model, fixed, border), _second_part(model, fixed, border), reason, len(learned))


def _obstacle(model: fx.GraphModule, node: fx.Node) -> str:
    """Say why the output of a node is not fixed by its inputs, or return ""."""
    if node.op == "placeholder":
        return ""
    if node.op == "output":
        return "output"
    if node.op != "call_module":
        return "" if node.target in REPEATABLE else f"'{node.target}' may do anything"
    name = str(node.target)
    module = model.get_submodule(name)
    if any(parameter.requires_grad for parameter in module.parameters()):
        return f"layer '{name}' trains"
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            return f"layer '{name}' normalises with the statistics of the mini-batch"
        if drops(part):
            return f"layer '{name}' drops at random"
        if not type(part).__module__.startswith(("torch.nn.", "bridge.modules.")):
            return f"layer '{name}' is a module of your own, which may do anything"
    return ""


def drops(module: nn.Module) -> bool:
    """Whether a module, apart from those in it, drops values at random."""
    return bool(getattr(module, "dropout", 0) or ("Dropout" in type(module).__name__ and getattr(module, "p", 1)))


def _learnables(model: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and any(True for _ in model.get_submodule(str(node.target)).parameters())


def _first_part(model: fx.GraphModule, fixed: dict[fx.Node, bool], border: list[fx.Node]) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in model.graph.nodes:
        if fixed[node]:
            copies[node] = graph.node_copy(node, lambda each: copies[each])
    graph.output(tuple(copies[node] for node in border))
    return fx.GraphModule(model, graph)


def _second_part(model: fx.GraphModule, fixed: dict[fx.Node, bool], border: list[fx.Node]) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {node: graph.placeholder(f"feature_{index}") for index, node in enumerate(border)}
    for node in model.graph.nodes:
        if not fixed[node]:
            copies[node] = graph.node_copy(node, lambda each: copies[each])
    return fx.GraphModule(model, graph)


def why_not(parts: Split, source: Source, inputs: tuple[Tensor, ...], varies: bool, count: int = 0) -> str:
    """Say why the features of a training are not cached; "" where they can be.

    Args:
        parts: the network.
        source: the training data.
        inputs: those of a mini-batch.
        varies: whether the composition of the mini-batches differs from epoch to epoch.
        count: of how many observations the features must fit into memory.
    """
    if parts.fixed is None:
        return parts.reason
    unknown = isinstance(source, DatasetSource)  # only cached where the user says that its items never change
    if (source.changing and not unknown) or source.ragged:
        return source.changing or "sequences are brought to one length in each mini-batch"
    with torch.no_grad():
        features = parts.fixed(*inputs)
    if not all(isinstance(each, Tensor) for each in features):
        return "what crosses the border of the frozen part is no tensor"
    if not is_free(room_needed(features, count)):
        return "the features do not fit into memory"
    if varies and _depends_on_place(parts.fixed, inputs, features):
        return (
            "on this machine the last bits of an observation's features depend on its place in the mini-batch, and "
            "Shuffle changes that"
        )
    return ""


def _depends_on_place(fixed: fx.GraphModule, inputs: tuple[Tensor, ...], features: tuple[Tensor, ...]) -> bool:
    """Kernels may treat the last rows of a matrix differently."""
    count = len(inputs[0])
    turned = torch.arange(count).roll(max(count // 2, 1))
    with torch.no_grad():
        others = fixed(*(each[turned] for each in inputs))
    return any(not torch.equal(one[turned], other) for one, other in zip(features, others, strict=True))
