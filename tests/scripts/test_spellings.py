"""A recipe printed as MATLAB in whatever spelling reads back as the same recipe; the oracle is the recipe that was printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.networks.build import architecture
from bridge.options.options import training_options
from bridge.recipes.parts import Data
from bridge.scripts import read

HEADS = {
    "alexnet": ("fc8", "prob", "output"),
    "vgg16": ("fc8", "prob", "output"),
    "resnet18": ("fc1000", "prob", "ClassificationLayer_predictions"),
}
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "InitialLearnRate": st.sampled_from([1e-4, 3e-4, 0.001, 0.5]),
    "MaxEpochs": st.integers(1, 200),
    "MiniBatchSize": st.integers(1, 512),
    "Shuffle": st.sampled_from(["once", "never", "every-epoch"]),
    "L2Regularization": st.sampled_from([0, 1e-4, 0.0005, 0.01]),
    "GradientThreshold": st.sampled_from([1, 0.5, float("inf")]),
    "LearnRateDropFactor": st.sampled_from([0.1, 0.25]),
    "LearnRateSchedule": st.sampled_from(["none", "piecewise"]),
    "Verbose": st.booleans(),
}
FACTORS = st.sampled_from([0, 0.5, 1, 2, 10, 20])


@dataclass
class Printer:
    """Prints values and calls, each time in a spelling that `draw` chooses."""

    draw: Any
    lines: list[str]

    def text(self, value: str) -> str:
        return self.draw(st.sampled_from([f"'{value}'", f'"{value}"', f"['{value[:1]}' '{value[1:]}']"]))

    def number(self, value: float) -> str:
        if value == float("inf"):
            return self.draw(st.sampled_from(["Inf", "inf"]))
        plain = [repr(value), f"{value:.10g}", f"({value!r})", f"{value!r}*1", f"[{value!r}]"]
        return self.draw(
            st.sampled_from(
                [*plain, *([f"{value * 2!r}/2", f"{value - 1}+1"] if isinstance(value, int) else [f"{value:e}"])]
            )
        )

    def value(self, value: Any) -> str:
        if isinstance(value, bool):
            return self.draw(st.sampled_from([str(value).lower(), str(int(value)), f"~{str(not value).lower()}"]))
        if isinstance(value, tuple):
            return self.row(value)
        printed = self.text(value) if isinstance(value, str) else self.number(value)
        if self.draw(st.booleans()):
            return printed
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {printed}{self.end()}")
        return name

    def row(self, values: tuple[float, ...]) -> str:
        separator = self.draw(st.sampled_from([" ", ",", ", ", "  "]))
        return f"[{separator.join(map(repr, values))}]"

    def end(self) -> str:
        return self.draw(st.sampled_from([";", "", "; % note, with 'quotes'", " ;", ";;"]))

    def call(self, function: str, first: list[str], named: dict[str, Any]) -> str:
        printed = {name: self.value(value) for name, value in named.items()}
        gap = self.draw(st.sampled_from(["", " ", " ... and so on\n    ", "...\n"]))
        if self.draw(st.booleans()):
            arguments = [
                *first,
                *(
                    f"{self.cased(name)}{self.draw(st.sampled_from(['=', ' = ']))}{value}"
                    for name, value in printed.items()
                ),
            ]
        else:
            arguments = [*first, *(part for name, value in printed.items() for part in (self.text_name(name), value))]
        return f"{function}({gap}{f',{gap}'.join(arguments)})"

    def text_name(self, name: str) -> str:
        quote = self.draw(st.sampled_from("'\""))
        return f"{quote}{self.cased(name)}{quote}"

    def cased(self, name: str) -> str:
        return self.draw(st.sampled_from([name, name.lower(), name.upper(), name[:1].lower() + name[1:]]))


def freezing(printer: Printer, last: int) -> list[str]:
    """Freeze layers 1 to `last` of the variable `layers`, in one of several ways."""
    factors = ("WeightLearnRateFactor", "BiasLearnRateFactor", "ScaleLearnRateFactor", "OffsetLearnRateFactor")
    inner = "\n".join(f"if isprop(layers(i),'{name}'), layers(i).{name} = 0; end" for name in factors)
    ways = [
        f"layers(1:{last}) = freezeWeights(layers(1:{last}));",
        f"for i = 1:{last}\n{inner}\nend",
        f"i = 0;\nwhile i < {last}\ni = i + 1;\n{inner}\nend",
        f"names = {{{', '.join(map(repr, factors))}}};\nfor i = {last}:-1:1\nfor k = 1:numel(names)\n"
        "if any(strcmp(properties(layers(i)), names{k}))\nlayers(i).(names{k}) = 0;\nend\nend\nend",
    ]
    return [printer.draw(st.sampled_from(ways))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_printed_recipe_reads_back(tmp_path: Path, data: st.DataObject) -> None:
    printer = Printer(data.draw, [])
    name = data.draw(st.sampled_from(sorted(HEADS)))
    head, softmax, output = HEADS[name]
    base = architecture(name)
    options = {key: data.draw(each) for key, each in OPTIONS.items() if data.draw(st.booleans())}
    solver = data.draw(st.sampled_from(["sgdm", "adam", "rmsprop"]))
    count, rate, decay = data.draw(st.integers(2, 50)), data.draw(FACTORS), data.draw(FACTORS)
    frozen = data.draw(st.integers(0, len(base.layers) - 4))
    split = data.draw(st.sampled_from([(), (0.7,), (0.6, 0.2), (20,)]))
    augmentation = {"RandXReflection": True, "RandRotation": (-10, 10)} if data.draw(st.booleans()) else {}

    lines = printer.lines
    lines.append(f"net = {name}{printer.end()}")
    lines += ["lgraph = layerGraph(net);", "layers = lgraph.Layers;", "connections = lgraph.Connections;"]
    lines += freezing(printer, frozen) if frozen else []
    lines.append("lgraph = createLgraphUsingConnections(layers, connections);")
    new = printer.call(
        "fullyConnectedLayer",
        [printer.value(count)],
        {"Name": "fresh", "WeightLearnRateFactor": rate, "BiasL2Factor": decay},
    )
    if data.draw(st.booleans()):
        lines.append(f"lgraph = replaceLayer(lgraph, {printer.text(head)}, {new});")
        lines.append(f"lgraph = replaceLayer(lgraph, {printer.text(output)}, classificationLayer('Name', 'last'));")
    else:
        before = base.incoming[head][0].source
        lines.append(f"lgraph = removeLayers(lgraph, {{{printer.text(head)}, '{softmax}', '{output}'}});")
        separator = data.draw(st.sampled_from([";", "\n", " ; % next\n", ";\n\n"]))
        lines.append(f"lgraph = addLayers(lgraph, [{separator.join([new, 'softmaxLayer', 'classificationLayer'])}]);")
        lines.append(f"lgraph = connectLayers(lgraph, '{before}', {printer.text('fresh')});")
    lines.append("imds = imageDatastore('photos','IncludeSubfolders',true,'LabelSource','foldernames');")
    if split:
        lines.append(f"[first, second, third] = splitEachLabel(imds, {', '.join(map(printer.number, split))});")
    size = "[{} {}]".format(*base.layers[0].InputSize[:2])
    more = [f"'DataAugmentation', {printer.call('imageDataAugmenter', [], augmentation)}"] if augmentation else []
    lines.append(f"ds = augmentedImageDatastore({', '.join([size, 'first' if split else 'imds', *more])});")
    lines.append(f"options = {printer.call('trainingOptions', [printer.text(solver)], options)};")
    lines.append("trained = trainNetwork(ds, lgraph, options);")
    path = tmp_path / "script.m"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    found = read(path)
    assert found.exit_code == 0 and found.recipe is not None, ("\n".join(lines), found.not_understood)
    assert found.recipe.options == training_options(solver, **options), "\n".join(lines)
    assert found.recipe.data == Data(path="photos", split=split, validates=not split, augmentation=augmentation), (
        "\n".join(lines)
    )
    network = base
    for edit in found.recipe.edits:
        network = edit.apply(network)
    expected = base.freeze(base.layers[:frozen]) if frozen else base
    for layer in network.layers:
        if layer.learnables and layer.name != "fresh":
            wanted = expected.layers[layer.name].learnables
            assert {k: v.learn_rate_factor for k, v in layer.learnables.items()} == {
                k: v.learn_rate_factor for k, v in wanted.items()
            }
    fresh = network.layers["fresh"]
    assert (fresh.OutputSize, fresh.WeightLearnRateFactor, fresh.BiasL2Factor) == (count, rate, decay)
    assert len(network.layers) == len(base.layers) and len(network.connections) == len(base.connections)
