"""`python docs/generate.py` writes docs/mapping.md and docs/networks.md from the tables in mappings/; tests hold them
in step.
"""

from __future__ import annotations

import pkgutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from torch import nn

import bridge.modules
from bridge.tables.layers import EVIDENCE, LayerRow, layer_mappings
from bridge.tables.pretrained import Entry, catalogue

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "mappings" / "layers"
PAGE = ROOT / "docs" / "mapping.md"
NETWORKS_PAGE = ROOT / "docs" / "networks.md"

INTRODUCTION = """\
# Layers

*Written by `python docs/generate.py` from `mappings/layers/*.toml`. Change the tables, not this page.*

One row of a table is all that is known of one MATLAB layer class: readers, the torch builder, the writers and this page
read the same row. {count} classes have one: {evidence}.

| evidence | meaning |
|---|---|
| proven | MATLAB's files hold this layer, and their networks agree with MATLAB's own numbers or with MATLAB's .onnx |
| documented | MATLAB's files hold this layer, or it is documented in full; no numbers of MATLAB to compare with yet |
| unseen | no file of MATLAB's was found with it; it follows the documentation, `bridge inspect` marks it `unproven` |

**Axes.** A pattern names the axes of an array in order: `kh kw in out` is what MATLAB's `size` counts. `(c h w)` is one
axis that runs through c, h and w, the last one fastest; `1` is an axis of length one. A pattern of one name is a
vector, whatever ones MATLAB has put around it.

**Factors.** The numbers are MATLAB's defaults for a new layer: they count where a file holds no factors, and are then
shown as `1 (assumed)`. In the property names `*` stands for `LearnRateFactor` and for `L2Factor`.

**torch.** Names without a prefix are classes of `torch.nn`, those with `bridge` are modules that torch lacks. Padding
that is not symmetric, 'same' padding that depends on the size of the input, and sequences (N,T,C) take a subclass of
the module named here, with the same parameters. Output layers have no module: they are facts of the network (classes,
kind of loss).
"""


def mapping_page() -> str:
    """Return the text of docs/mapping.md."""
    groups = {path: rows_of(path) for path in sorted(TABLES.glob("*.toml"))}
    every = [row for rows in groups.values() for row in rows]
    found = Counter(row.evidence for row in every)
    evidence = ", ".join(f"{found[word]} {word}" for word in EVIDENCE)
    sections = [section(path, rows) for path, rows in groups.items()]
    return "\n".join([INTRODUCTION.format(count=len(every), evidence=evidence), *sections])


def rows_of(path: Path) -> list[LayerRow]:
    """Return the rows of one table file, in its order."""
    return [layer_mappings().rows[name] for name in tomllib.loads(path.read_text(encoding="utf-8"))]


def section(path: Path, rows: Sequence[LayerRow]) -> str:
    """Return a heading, the file's own first line, a table of layers and a table of their arrays."""
    about = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    refused = [(row.name, code(row.matlab), row.refused, row.evidence) for row in rows if row.refused]
    known = [row for row in rows if not row.refused]
    parts = [f"## {path.stem.capitalize()}", about]
    if known:
        heads = ("layer", "MATLAB class", "made by", "ONNX", "torch", "evidence")
        parts.append(table(heads, map(layer_cells, known)))
    if refused:
        parts.append(table(("layer", "MATLAB class", "why it is only shown", "evidence"), refused))
    learnables = list(learnable_cells(rows))
    if learnables:
        parts.append(
            table(
                ("learnable", "MATLAB's axes", "torch's name", "torch's axes", "factors", "learn rate", "L2"),
                learnables,
            )
        )
    state = list(state_cells(rows))
    if state:
        parts.append(table(("statistic or state", "MATLAB's axes", "torch's buffer", "torch's axes"), state))
    return "\n\n".join(parts) + "\n"


def layer_cells(row: LayerRow) -> tuple[str, ...]:
    """Return the cells of one layer."""
    return (
        row.name,
        code(row.matlab),
        code([row.constructor] if row.constructor else []),
        code(row.onnx),
        module_name(row),
        row.evidence,
    )


def module_name(row: LayerRow) -> str:
    """Return the torch module, with a prefix where it is not torch's own (or a subclass that adds MATLAB's habits to
    it).
    """
    if row.torch is None:
        return "none"
    own = own_modules().get(row.torch)
    is_torch = hasattr(nn, row.torch) and (own is None or issubclass(own, getattr(nn, row.torch)))
    return f"`{row.torch}`" if is_torch else f"bridge `{row.torch}`"


@cache
def own_modules() -> dict[str, type]:
    """Return the torch modules that bridge/modules/ defines, by name."""
    files = [import_module(f"bridge.modules.{each.name}") for each in pkgutil.iter_modules(bridge.modules.__path__)]
    classes = [
        value
        for file in files
        for value in vars(file).values()
        if isinstance(value, type) and value.__module__ == file.__name__
    ]
    return {each.__name__: each for each in classes}


def learnable_cells(rows: Iterable[LayerRow]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every learnable."""
    return shared_lines(
        (
            row.name,
            each.name,
            code([each.matlab_axes]),
            code(each.torch),
            code([each.torch_axes]),
            factors(each.learn_rate),
            *map("{:g}".format, each.defaults),
        )
        for row in rows
        for each in row.learnables.values()
    )


def state_cells(rows: Iterable[LayerRow]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every statistic or state."""
    return shared_lines(
        (row.name, each.name, code([each.matlab_axes]), code([each.torch]), code([each.torch_axes]))
        for row in rows
        for each in row.state.values()
    )


def shared_lines(lines: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield lines (layer, name, fact, ...) as cells, with layers that share a name and all its facts in one."""
    layers: dict[tuple[str, ...], list[str]] = {}
    for layer, *facts in lines:
        layers.setdefault(tuple(facts), []).append(layer)
    for (name, *facts), names in layers.items():
        yield f"{', '.join(names)}: **{name}**", *facts


def factors(learn_rate: str) -> str:
    """Return both factor properties of a learnable in short: "WeightLearnRateFactor" -> `Weight*`."""
    return f"`{learn_rate.removesuffix('LearnRateFactor')}*`"


def code(words: Iterable[str]) -> str:
    """Return words as code, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in a cell is no border."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in cells] for cells in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


NETWORKS = """\
# Networks

*Written by `python docs/generate.py` from `mappings/pretrained.toml`. Change the table, not this page.*

`bridge.networks.build("googlenet", classes=5)` gives a network with MATLAB's layer names, order, connections, sizes,
factors and initialisers, untrained. `weights=` fills it from a .mat, an .onnx or a saved folder of the same network, or
from torchvision's state dict where the structure is the same. `bridge models` lists the networks, `bridge models
resnet50` tells about one.

An untrained input layer has neutral statistics (a mean of 0, a deviation of 1, pixels of 0 to 255) until training
computes them, as MATLAB's ResetInputNormalization does; a note of the network says so.

Builders of `bridge.networks` take the arguments of MATLAB's functions, whose names are theirs in Python's spelling:

- `segnet_layers`: of depth 3 it equals a file that MATLAB wrote; in the forms "vgg16" and "vgg19" the decoder's names
  and filters are unconfirmed.
- `unet_layers`, `unet3d_layers`, `unet`, `unet3d`: the documentation's counts, names and factors of generated code. The
  default sizes of the two for volumes are unconfirmed.
- `deeplabv3plus_layers`, `deeplabv3plus`: on resnet18, resnet50 and xception after generated code, on resnet50 with
  MATLAB's order of layers. On mobilenetv2 and inceptionresnetv2, and with a DownsamplingFactor of 8, the form is
  derived. The weights of the two upsamplings interpolate bilinearly, which is unconfirmed; a MATLAB file has its own.
- `resnet_layers`, `resnet_network`: the documentation's counts; unconfirmed are the names inside and the initialiser
  "he".
- `yolov2_layers`: documented layers, on any network.

Lists of MATLAB's layers are the oracle for {listed}: every name, option and connection. For {code} code that MATLAB
generated from copies of them was read by hand; lines of it are in the tests. The others follow the documentation:
unconfirmed are the factors of alexnet, vgg16 and darknet, and the K of alexnet's normalisations. nasnetmobile comes
from the builder that makes nasnetlarge, with NASNet-Mobile's numbers; its own names were not seen.

**Indices.** `net.layers` is in the order of MATLAB's `net.Layers`, which scripts count in. Where branches are parallel
that order is proven for resnet50 alone, by lists that MATLAB printed: it is the one Keras lists a model's layers in. So
are listed here all networks that came from Keras; for them and for the others it is unconfirmed. Releases up to R2019a
list one layer more for networks with the normalisation zscore or rescale-symmetric: a layer of its own, behind the
input, did what the input does since (`bridge models resnet18` tells the number, `Entry.earlier_layers` holds it). Early
copies of resnet50 pool without padding and average 7 by 7 pixels at the end. Files up to R2019a are read: their
rescale-symmetric is -1..1 (unconfirmed), their zscore needs a module of yours.

ShuffleNet's own layer is `ChannelShuffleLayer` here, NASNet's `ZeroPadding2DLayer`, Inception-ResNet-v2's
`ScalingFactorLayer`. Accuracies are MathWorks' own: top-1 in percent on ImageNet's validation images. The layers under
"features" and the categories are a choice made here.
"""

CHECKED = """
## What is checked for each network

`tests/networks/test_whole.py` does with each network what people do with it, on a copy with all its layers, fewer
channels and a small input; with `--slow` at the network's own size, too (160 tests of the 20 classifiers, all passed),
and with the networks of hundreds of layers, whose copies wait for `--slow`. The files are MATLAB-shaped ones with
random weights: no file of a pretrained network was there to compare with.

- **files**: a .mat, and an .onnx in two dialects (opset 8 with fixed sizes, opset 14 with sizes computed in the graph),
  are read. The modules of all three give what onnxruntime gives on the .onnx, before the softmax and behind it, to 1e-5
  of the largest value.
- **frozen**: the first ten layers, or all, keep their bits in training.
- **new head**: the layers under "replace" above are replaced for other classes, and change in an epoch of training.
- **back**: exported to .mat and to .onnx and read again, the outputs are the same, bit for bit, and so are the arrays.
- **torch**: `torch.compile` and `torch.export` give the module's own outputs.
"""
STRUCTURE = {
    "list": "MATLAB's list",
    "code": "code that MATLAB generated from copies, MATLAB's counts",
    "documentation": "documented names, MATLAB's counts",
    "derived": "names derived, not seen",
}
OTHERS = {  # what is compared with, which files are read, what is trained
    "segnetLayers(3)": ("a file that MATLAB wrote", ".mat, .onnx", "trained as it is"),
    "segnetLayers('vgg16')": ("the decoder's names unconfirmed", ".mat, .onnx", "trained as it is"),
    "segnetLayers('vgg19')": ("the decoder's names unconfirmed", ".mat, .onnx", "trained as it is"),
    "unetLayers": ("documented names, MATLAB's counts", ".mat, .onnx", "trained as it is"),
    "unet": ("names of generated code, MATLAB's counts", ".mat, .onnx", "trained as it is"),
    "unet3dLayers": ("names of generated code, MATLAB's counts", ".mat, .onnx", "trained as it is"),
    "deeplabv3plusLayers": ("code that MATLAB generated from copies (resnet18)", ".mat, .onnx", "trained as it is"),
    "yolov2Layers": (
        "documented names, sizes of MATLAB's own detector",
        ".mat, .onnx (how MATLAB writes `yolov2TransformLayer` there is unconfirmed)",
        "trained, with the backbone frozen",
    ),
}


def networks_page() -> str:
    """Return the text of docs/networks.md."""
    head = (
        "network",
        "for",
        "layers / connections",
        "input",
        "MB",
        "learnables (M)",
        "top-1 %",
        "replace",
        "features",
        "torchvision's or timm's",
    )
    of = {
        kind: ", ".join(entry.name for entry in catalogue().values() if entry.structure == kind) for kind in STRUCTURE
    }
    checks = table(("network", "structure", "files", "frozen", "new head", "back", "torch"), checked_lines())
    networks = table(head, map(network_line, catalogue().values()))
    return f"{NETWORKS.format(listed=of['list'], code=of['code'])}\n{networks}\n{CHECKED}\n{checks}\n"


def checked_lines() -> Iterator[tuple[str, ...]]:
    """Yield what the tests check of each network, and of segmentation networks and detectors."""
    for entry in catalogue().values():
        yield (
            f"`{entry.name}`",
            STRUCTURE[entry.structure],
            ".mat, .onnx",
            "yes",
            code(entry.head),
            ".mat, .onnx",
            "yes",
        )
    for name, (structure, files, head) in OTHERS.items():
        yield f"`{name}`", structure, files, "yes", head, ".mat, .onnx", "yes"


def network_line(entry: Entry) -> tuple[str, ...]:
    """Return the line of one network."""
    near = code(dict.fromkeys(filter(None, (entry.torchvision, entry.timm)))) or "none"
    differs = "the same structure; " * entry.same_as_torchvision + "; ".join(entry.differences)
    return (
        f"`{entry.name}`" + (f" (unconfirmed: {', '.join(entry.unconfirmed)})" if entry.unconfirmed else ""),
        ", ".join((entry.category, *entry.serves)),
        f"{entry.layers} / {entry.connections}",
        f"{'×'.join(map(str, entry.input_size))} {entry.normalization}",
        f"{entry.megabytes:g}",
        f"{entry.learnables:g}",
        f"{entry.top1:.2f}" if entry.top1 else "",
        code(entry.head),
        code(entry.features),
        f"{near}: {differs}" if differs else near,
    )


if __name__ == "__main__":
    PAGE.write_text(mapping_page(), encoding="utf-8", newline="\n")
    NETWORKS_PAGE.write_text(networks_page(), encoding="utf-8", newline="\n")
