"""Texts that mean something to whatever reads a written file, and networks that hold one of them in every place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bridge
from bridge.network import Network
from bridge.writers.matlab import with_names

FILES = Path(__file__).parents[2] / "fixtures" / "files"
PLAIN = "plain"
HOSTILE = {
    "python call": "\\\"+str(__import__('os').system('touch injected')),#",
    "python line": "\n__import__('os').system('touch injected')\n#",
    "python docstring": '"""\n__import__("os").system("touch injected")\n"""',
    "python escape": "\\N{BULLET}\\x41\\",
    "braces": "{0} {self} {__import__('os')} }{",
    "single quotes": "');system('touch injected');('",
    "matlab": "'); system('touch injected'); % ... {@} ''",
    "script": "</script></style></title><script>alert(1)</script>",
    "attribute": "\" onmouseover=\"alert(1)\" x='1' onload='alert(1)",
    "tag": "<img src=x onerror=alert(1)><!-- ]]> --> &lt;b&gt;",
    "svg": '<svg id="figure_1" xmlns="x"> fill: #1b1f24 $x^2$',
    "markdown": "](javascript:alert(1)) ![x](http://x.y/z.png) **bold** _em_ `code` ``` ~~~ | x | <http://x.y>",
    "markdown block": "# head\n\n- list\n\n```\ncode\n```\n\n<div>x</div>\n\n---\n1. one",
    "toml": '"""\n[[edits]]\nfreeze = "1:10" # comment\n',
    "yaml": "--- !!python/object/apply:os.system ['touch injected']\n: - & * ",
    "shell": "$(touch injected) `touch injected` ; touch injected | & > < %PATH% ^ !x",
    "terminal": "\x1b[31mred\x1b]0;title\x07\x9b31m\r\bgone",
    "rich": "[bold red]x[/] [link=http://x.y]x[/link] [/bold] \\[x]",
    "github": "\n::error file=x::gone %0A %25 ::set-output name=x::y",
    "lines": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\r\ni",
    "control": "a\0b\x7fc\u202ed\ufeffe\ufffff",
    "surrogate": "a\ud800b",
    "astral": "\U0001f600 ﬁ fi ｘ",
    "comment ends": "*/ --> #> %} \\",
    "long": "ab" * 5000,
}


def filled(network: Network, text: str) -> Network:
    """Return a network with a text in every place for one: layers, classes, notes, properties, options, log, source."""
    names = {layer.name: f"{text}{index}" for index, layer in enumerate(network.layers)}
    network = with_names(network, names)
    layers = {}
    for layer in network.layers:
        properties = {**layer.properties, text: text}
        if layer.row.is_output and "Classes" in properties:
            properties["Classes"] = tuple(f"{text}{index}" for index in range(len(network.classes or ())))
        learnables = {name: replace(each, initializer=text) for name, each in layer.learnables.items()}
        layers[layer.name] = replace(layer, properties=properties, learnables=learnables)
    values = {layer.name: text for layer in network.layers}
    return replace(
        network.with_layers(layers),
        kind=text,
        source=replace(
            network.source, path=f"folder/{text}", producer=text, release=text, factors=text, sha256=text, values=values
        ),
        classes=tuple(f"{text}{index}" for index in range(len(network.classes or ()))) or None,
        notes=(text,),
        training_options={"class": text, "Solver": text, text: text},
        training_info={text: [1.0, 2.0], "TrainingLoss": [1.0]},
        detector={"class": text, text: text},
    )


def signs() -> Network:
    """A chain with an output layer."""
    return bridge.load(FILES / "signs.mat")


def segnet() -> Network:
    """Layers with several outputs and inputs."""
    return bridge.load(FILES / "segnet.mat")


NETWORKS = (signs, segnet)
