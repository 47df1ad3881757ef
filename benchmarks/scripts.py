"""How long a long MATLAB script takes to be read: seconds of the processor, and the ratio to parsing alone. One thread.

Five kinds of 10,000 lines, and loops that are followed up to the limit of steps. 1 s at most is what each should take.

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
LOOPS = {
    "counting": "k = 0; for i = 1:1e5, k = k + i; end",
    "structs": "for i = 1:1e5, s.f = i; s.g = [i 2]; end",
    "factors": "for i = 1:1e5, lgraph = setLearnRateFactor(lgraph, 'conv2-3x3', 'Weights', i); end",
    "properties": "for i = 1:1e5, layers(2).WeightLearnRateFactor = i; end",
    "data": "for i = 1:1e5, x(:,i) = data(i:i+n); end",
}


def main() -> None:
    sources = {kind: "\n".join(form.format(number) for number in range(LINES)) for kind, form in KINDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        for kind, source in {**sources, **LOOPS}.items():
            path = Path(folder) / f"{kind}.m"
            path.write_text(f"{HEAD}{source}\n{TAIL}", encoding="utf-8")
            start = time.process_time()
            Script.load(path)
            parsed = time.process_time()
            found = read(path)
            whole = time.process_time() - parsed
            lines = source.count("\n") + 1
            print(
                f"{kind:12} {lines:6} lines: {whole:.2f} s, {whole / (parsed - start):.1f} x parsing, {len(found.facts)} facts"
            )


if __name__ == "__main__":
    main()
