"""How long a long MATLAB script takes to be read: seconds, and the ratio to parsing alone. One thread, one run.

python -m benchmarks.scripts
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bridge.scripts import read
from bridge.scripts.language.syntax import Script

LINES = 10_000
HEAD = """net = googlenet;
lgraph = layerGraph(net);
layers = lgraph.Layers; connections = lgraph.Connections;
layers(1:10) = freezeWeights(layers(1:10));
lgraph = createLgraphUsingConnections(layers, connections);
"""
TAIL = """options = trainingOptions('sgdm','MaxEpochs',6);
net = trainNetwork(imds, lgraph, options);
"""
KINDS = {
    "assignments": "a{0} = [{0} 2 3]; % a comment",
    "calls": "b{0} = imresize(c, [224 {0}], 'Method', 'bilinear');",
    "fields": "s.f{0} = struct('x', {0}, 'y', 'text');",
    "layers": "lgraph = setLearnRateFactor(lgraph, 'conv2-3x3', 'Weights', {0});",
    "branches": "if exist('x', 'var'), y{0} = {0}; else, y{0} = 0; end",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for kind, form in KINDS.items():
            path = Path(folder) / f"{kind}.m"
            path.write_text(HEAD + "\n".join(form.format(i) for i in range(LINES)) + "\n" + TAIL, encoding="utf-8")
            start = time.perf_counter()
            Script.load(path)
            parsed = time.perf_counter()
            found = read(path)
            whole = time.perf_counter() - parsed
            print(
                f"{kind:12} {LINES} lines: {whole:.2f} s, {whole / (parsed - start):.1f} x parsing, {len(found.facts)} facts"
            )


if __name__ == "__main__":
    main()
