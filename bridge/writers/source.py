"""Network -> net.py: PyTorch source as a person would write it, with its weights in net.safetensors beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from torch import nn

from bridge import __version__
from bridge.arrays.lazy import Array
from bridge.detection.family import Decoding
from bridge.errors import UnsupportedError, printable
from bridge.files import python
from bridge.files.atomic import write_with_data
from bridge.files.names import KEYWORDS, distinct, identifier
from bridge.network import Layer, Network
from bridge.network.contract import contracts
from bridge.network.ports import split_port
from bridge.network.tensors import given_sizes, tensors
from bridge.writers import decoding, tensor_file
from bridge.writers.expressions import Code, code_of, in_brackets
from bridge.writers.losses import Export, Written, fact_losses, precision_losses
from bridge.writers.paste import Paste, import_lines
from bridge.writers.state import Modules, Part, as_single, parts

# names that the source of `forward` has for other things than values
RESERVED = ("F", "Padding", "Tensor", "Window", "float", "nn", "self", "torch", "x")
STATISTICS = ("mean", "std", "min", "max")  # buffers of an input layer
Place = tuple[str, str]  # a layer and one of its ports or statistics; "" for what has the layer's own name
ALWAYS = {
    ("hashlib", "", "hashlib"),
    ("json", "", "json"),
    ("math", "", "math"),
    ("os", "", "os"),
    ("torch", "", "torch"),
    ("pathlib", "Path", "Path"),
    ("typing", "Any", "Any"),
    ("torch", "Tensor", "Tensor"),
    ("torch", "nn", "nn"),
}
FUNCTIONAL = ("torch.nn", "functional", "F")
FUNCTIONS = '''
def load_weights(model: nn.Module, path: str | Path | None = None) -> None:
    """Load a .safetensors file: the length of its header, the header in JSON, the tensors' bytes.

    Without a path it is the one that was written with this file, and no other.
    """
    own = WEIGHTS.with_stem(f"{WEIGHTS.stem}-{SHA256[:16]}")  # where an export over another was cut off
    file = Path(path) if path else own if os.path.isfile(own) else WEIGHTS
    data = bytearray(file.read_bytes())
    if path is None and hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError(f"{file} was not written with {__file__}: export both again")
    start = 8 + int.from_bytes(data[:8], "little")
    state = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            shape, offset = entry["shape"], start + entry["data_offsets"][0]
            values = torch.frombuffer(data, dtype=torch.float32, count=math.prod(shape), offset=offset)
            state[name] = values.reshape(shape)
    model.load_state_dict(state)


def param_groups(model: nn.Module, learn_rate: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Group the parameters for an optimizer by MATLAB's factors, and freeze those whose learn-rate factor is 0."""
    parameters = dict(model.named_parameters())
    for name in FROZEN:
        parameters[name].requires_grad_(False)
    return [
        {"params": [parameters[name] for name in names], "lr": learn_rate * rate, "weight_decay": weight_decay * l2}
        for (rate, l2), names in FACTORS.items()
    ]
'''


def save(network: Network, export: Export, *, modules: Modules | None = None) -> Written:
    """Write a network as a Python file that needs torch alone, and its weights as a .safetensors file beside it.

    The file has a class with an attribute for each layer that holds something, `load_weights`, `param_groups` with
    MATLAB's factors, `CLASSES`, and `LAYERS` with MATLAB's names where they are no identifiers. A module of your own
    is an argument of that class.

    Args:
        network: what to write.
        export: of the .py file.
        modules: torch modules for layers of your own; see `Network.to_torch`.

    Raises:
        UnsupportedError: layers that are no MATLAB layers known here, all of them; or, if `strict`, something would be
            lost.
        UsageError: a file exists (without `force`) or cannot be written.
    """
    path = export.path
    program = Program(network, path.with_suffix(".safetensors").name, modules or {})
    program.body  # noqa: B018 (what cannot be written is refused first)
    export.lose(*precision_losses(network), *losses_of(network))
    weights = write_with_data(
        path,
        path.with_name(program.weights),
        lambda made: tensor_file.write(made, program.arrays, export.with_nan),
        lambda made, digest: made.write_bytes(program.text(digest).encode()),
        force=export.force,
    )
    if program.renamed:
        export.notes.append(f"{len(program.renamed)} layer name(s) are no identifiers and are in LAYERS")
    return export.written([path, weights], hint(path))


def hint(path: Path) -> str:
    """Return how the classes of the file are had; a name that is no identifier cannot be imported."""
    if path.stem.isidentifier() and path.stem not in KEYWORDS:
        return f"from {path.stem} import Network, load_weights"
    return f"held = {python.call('runpy.run_path', path.name)}; held['Network'], held['load_weights']"


def losses_of(network: Network) -> Iterator[str]:
    by_gate = [
        f"{layer.name}/{name}"
        for layer, name, each in network.learnables()
        if has_gates(each.learn_rate_factor) or has_gates(each.l2_factor)
    ]
    if by_gate:
        yield f"the factors of single gates, of which the first counts for all: {', '.join(by_gate)}"
    outputs = [f"{layer.name} ({layer.kind})" for layer in network.layers if layer.row.is_output]
    if outputs:
        yield f"its output layers: {', '.join(outputs)}"
    yield from fact_losses(network)


def has_gates(factor: float | tuple[float, ...]) -> bool:
    return isinstance(factor, tuple) and len(set(factor)) > 1


def identifiers(layers: Sequence[Layer]) -> dict[Place, str]:
    """Return the name of each layer, and of its further outputs and its statistics: identifiers that neither nn.Module
    nor the source has.

    A layer whose name is one keeps it, whatever those of others become.
    """
    taken = {*KEYWORDS, *dir(nn.Module()), *RESERVED}
    plain = sorted(((layer.name, identifier(layer.name)) for layer in layers), key=lambda pair: pair[0] != pair[1])
    names = distinct(plain, taken)
    more = [
        ((layer.name, part), f"{names[layer.name]}_{identifier(part, '')}")
        for layer in layers
        for part in (*layer.outputs[1:], *(STATISTICS if "normalizes" in layer.row.traits else ()))
    ]
    return {**{(layer, ""): name for layer, name in names.items()}, **distinct(more, {*taken, *names.values()})}


@dataclass
class Program:
    """The source code of a network.

    Attributes:
        network: what it computes.
        weights: the name of the file beside it.
        modules: of layers of the user's own.
        arrays: what lies in that file.
        made, steps: the lines of `__init__` and `forward`.
        variables: of the value at each output port.
        factors: names of parameters by (learn-rate factor, L2 factor).
        typed: variables of `forward` whose type is known.
        own: attributes that are modules of the user's own.
    """

    network: Network
    weights: str
    modules: Modules = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    paste: Paste = field(default_factory=Paste)
    variables: dict[tuple[str, str], str] = field(default_factory=dict)
    factors: dict[tuple[float, float], list[str]] = field(default_factory=dict)
    typed: set[str] = field(default_factory=set)
    own: list[str] = field(default_factory=list)

    @cached_property
    def places(self) -> Mapping[Place, str]:
        return identifiers([layer for layer in self.network.layers if not layer.row.is_output])

    @cached_property
    def names(self) -> Mapping[str, str]:
        return {layer: name for (layer, part), name in self.places.items() if not part}

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        return {new: old for old, new in self.names.items() if new != old}

    @cached_property
    def decoding(self) -> Decoding | None:
        return decoding.decoding_of(self.network)

    @cached_property
    def body(self) -> str:
        """The classes of the file; `arrays` is complete once it is known."""
        self._require_plain_layers()
        self.typed.update(map(self._entry, self.network.inputs))
        arguments = [f"{self._entry(name)}: Tensor" for name in self.network.inputs]
        held = list(parts(self.network, self.modules))
        for part, following in zip(held, [*held[1:], None], strict=True):
            self._layer(part, following.layer.name if following else "")
        if self.decoding is not None:
            decoding.paste(self.decoding, self.paste)
        results = [self._result(output) for output in self.network.outputs]
        kind = "Tensor" if len(results) == 1 else f"tuple[{', '.join(['Tensor'] * len(results))}]"
        own = (f"{name}: nn.Module" for name in self.own)
        body = "".join(f"        {line}\n" for line in self.made), "".join(f"        {line}\n" for line in self.steps)
        code = (
            f"\n\nclass Network(nn.Module):\n    def __init__({', '.join(['self', *own])}) -> None:\n"
            f"        super().__init__()\n{body[0]}"
            f"\n    def forward(self, {', '.join(arguments)}) -> {kind}:\n{body[1]}        return "
            f"{', '.join(results)}\n\n"
        )
        sources = ["", *self.paste.definitions.values()]
        gaps = ["" if before and "\n" not in before + source else "\n\n" for before, source in pairwise(sources)]
        pasted = "".join(f"{gap}{source}\n" for gap, source in zip(gaps, sources[1:], strict=True))
        return pasted + code

    def text(self, digest: str) -> str:
        """Return the whole file, for weights of a SHA-256."""
        imports = {*ALWAYS, *self.paste.imports, *([FUNCTIONAL] if "F." in self.body else [])}
        head = [
            python.docstring(self._title()),
            "",
            "from __future__ import annotations",
            "",
            *import_lines(imports),
            "",
            *self._constants(digest),
        ]
        return "\n".join(head) + "\n" + self.body + FUNCTIONS

    def _require_plain_layers(self) -> None:
        from bridge.modules.build import own_module

        foreign = [
            f"'{layer.name}' is a {layer.kind}"
            for layer in self.network.layers
            if (layer.row.is_foreign or layer.row.is_unknown)
            and not layer.row.is_output
            and own_module(layer, self.modules) is None
        ]
        foreign += [f"'{layer.name}' is a {layer.kind}" for layer in self.network.layers if layer.kind == "onnx:Input"]
        if foreign:
            cause = "only MATLAB's layers have source code here"
            raise UnsupportedError(
                f"{len(foreign)} layer(s) cannot be written: {'; '.join(foreign)}",
                cause,
                "pass modules of your own for them, or write .pt2, which holds any",
            )

    def _title(self) -> str:
        """Say what the file is, what goes in, and how it is used."""
        source = self.network.source
        made_by = ", ".join(each for each in (Path(source.path).name, source.producer, source.release) if each)
        lines = [
            f"The network of {made_by}, written by bridge {__version__}.",
            "",
            *(f"Input {contract}" for contract in contracts(self.network)),
        ]
        lines = [part for each in lines for part in textwrap.wrap(printable(each), python.WIDTH) or [""]]
        own = [
            f"{name}: your module of {printable(layer.row.matlab[0])}"
            for layer in self.network.layers
            if (name := self.names.get(layer.name)) in self.own
        ]
        made = ", ".join(f"{name}={name}" for name in self.own)
        boxes = decoding.usage(self.decoding) if self.decoding is not None else []
        return "\n".join([*lines, *own, "", f"model = Network({made}); load_weights(model); model.eval()", *boxes, ""])

    def _constants(self, digest: str) -> Iterator[str]:
        yield f"WEIGHTS = {python.call('Path(__file__).with_name', self.weights)}"
        yield f"SHA256 = {python.literal(digest)}  # of the weights"
        yield from python.listed("CLASSES: tuple[str, ...] = (", map(python.literal, self.network.classes or ()), ")")
        yield "# MATLAB's names of the layers whose names are no identifiers"
        renamed = [f"{python.literal(new)}: {python.literal(old)}" for new, old in self.renamed.items()]
        yield from python.listed("LAYERS: dict[str, str] = {", renamed, "}")
        assumed = (
            "; where the file held none, MATLAB's defaults"
            if any(each.assumed for _, _, each in self.network.learnables())
            else ""
        )
        yield f"# (learn-rate factor, L2 factor): parameters{assumed}"
        frozen = [name for (rate, _), names in self.factors.items() if not rate for name in names]
        yield "FACTORS: dict[tuple[float, float], list[str]] = {"
        for factors, names in self.factors.items():
            if factors[0]:
                held = python.listed(f"{python.literal(factors)}: [", map(python.literal, names), "],")
                yield from (f"    {line}" for line in held)
        yield "}"
        yield from python.listed("FROZEN: list[str] = [", map(python.literal, frozen), "]")
        if self.decoding is not None:
            yield from decoding.constants(self.decoding)

    def _entry(self, name: str) -> str:
        """Name the argument of an input: "x", unless it is read again later."""
        readers = [c.destination for c in self.network.connections if c.source == name]
        return (
            "x"
            if len(self.network.inputs) == 1 and len(readers) == 1 and name not in self.network.outputs
            else self.names[name]
        )

    def _layer(self, part: Part, following: str) -> None:
        from bridge.modules.graph import works_on_images

        layer = part.layer
        at, out = given_sizes(self.network, layer), self.network.sizes[layer.name][0]
        given = [self.variables[c.source, c.source_port] for c in self.network.incoming[layer.name]]
        if layer.name in self.network.inputs:
            at, given = [out], [self._entry(layer.name)]
        images = layer.name not in self.network.inputs and works_on_images(layer, at)
        self.own += [self.names[layer.name]] * part.own
        code = code_of(part, [each.at_one_time() for each in at] if images else at, out)
        self._make(part, code)
        values = [f"{each}.flatten(0, 1)" for each in given] if images else given
        buffers = {local: f"self.{self.places[layer.name, local]}" for local in code.buffers}
        call = code.call.format(*values, self=f"self.{self.names[layer.name]}", **buffers)
        if images:
            call = f"{in_brackets(call)}.unflatten(0, ({given[0]}.shape[0], -1))"
        if code.last:
            self._assign(layer, layer.outputs[:-1], call, "")
            self._assign(layer, layer.outputs[-1:], code.last.format(*given), "")
        else:
            comment = "" if code.make else f"  {python.comment(layer.name)}"
            self._assign(layer, layer.outputs, call, following, comment)

    def _make(self, part: Part, code: Code) -> None:
        layer, name = part.layer, self.names[part.layer.name]
        made = name if part.own else code.make
        if code.pasted is not None:
            self.paste.add([code.pasted])
        for local in code.buffers:
            buffer = self.places[layer.name, local]
            self.made.append(f"self.{buffer} = nn.Buffer({python.call('torch.zeros', *part.arrays[local].shape)})")
            self.arrays[buffer] = part.arrays[local]
        if not code.make:
            return
        self.made += [*python.wrapped(f"self.{name} = {made}"), *(f"self.{name}.{line}" for line in code.setup)]
        self.arrays.update(
            {
                f"{name}.{local}": as_single(each)
                for local, each in part.arrays.items()
                if not local.endswith(code.dropped)
            }
        )
        own = {each.local: each.name for each in tensors(layer, given_sizes(self.network, layer)) if each.learnable}
        for local, _ in part.module.named_parameters():
            factors = (1.0, 1.0) if part.own else (0.0, 0.0)  # what no row names; a bias that MATLAB has not
            if local in own:
                learnable = layer.learnables[own[local]]
                factors = first(learnable.learn_rate_factor), first(learnable.l2_factor)
            self.factors.setdefault(factors, []).append(f"{name}.{local}")

    def _assign(self, layer: Layer, ports: Sequence[str], call: str, following: str, comment: str = "") -> None:
        """Name the values of a layer: "x" where the layer `following` alone reads it, or nothing behind the last one
        does.
        """
        names = [self.places[layer.name, "" if port == layer.outputs[0] else port] for port in ports]
        if len(layer.outputs) == 1 and self._readers(layer) == [following]:
            names = ["x"]
        if call.isidentifier():
            names = [call]
        else:
            typed = names[0] not in self.typed and (
                names == ["x"] or (len(layer.outputs) == 1 and "" in self._readers(layer))
            )
            self.typed.update(names)
            self.steps.append(f"{', '.join(names)}{': Tensor' if typed else ''} = {call}{comment}")
        self.variables.update({(layer.name, port): name for port, name in zip(ports, names, strict=True)})

    def _readers(self, layer: Layer) -> list[str]:
        """Return the layers that read a layer's one output, and "" for each time that the network returns it."""
        readers = [c.destination for c in self.network.connections if c.source == layer.name]
        places = (split_port(each, self.network.layers, "outputs") for each in self.network.outputs)
        ends = [name for name, _ in places if name == layer.name]
        return [each for each in readers if not self.network.layers[each].row.is_output] + [""] * len(ends)

    def _result(self, output: str) -> str:
        """Return the expression of an output; images of one pixel come out as features, as MATLAB's
        predict gives them.
        """
        value = self.variables[split_port(output, self.network.layers, "outputs")]
        return f"{value}.flatten(1)" if self.network.size_of(output).is_pixel else value


def first(factor: float | tuple[float, ...]) -> float:
    return factor[0] if isinstance(factor, tuple) else factor
