"""Scripts that nobody should write, and other alphabets: each ends in a result or in a clear error, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError, UnreadableError
from bridge.scripts import read

GOOD = "net = alexnet;\nopts = trainingOptions('adam','MaxEpochs',3);\nt = trainNetwork(x,y,net.Layers,opts);\n"

HOSTILE = {
    "brackets": "x = " + "(" * 5000 + "1" + ")" * 5000 + ";\n",
    "arrays": "x = " + "[" * 2000 + "1" + "]" * 2000 + ";\n",
    "blocks": "if a\n" * 400 + "x = 1;\n" + "end\n" * 400,
    "a huge range": "x = 1:1e12;\nfor i = 1:1e9, y = i; end\n",
    "a range of huge steps": "x = 1:1e-300:1e300; y = 0:inf; z = 10:-1e-9:1;\n",
    "huge arrays": "z = zeros(1e9); c = cell(1,1e12); t = true(1e9,1); o = ones(1,1e300);\n",
    "handles in handles": "x = arrayfun(@(i) sum(arrayfun(@(j) sum(arrayfun(@(k) k,1:1000)),1:1000)),1:1000);\n",
    "doubled structs": "s = struct; for i = 1:200, s.a = s; s.b = s; end\n",
    "a huge encoder": "lg = unetLayers([256 256],2,'EncoderDepth',1e6); sg = segnetLayers([64 64 3],2,1e6);\n",
    "a huge network": "r = resnetLayers([64 64 3],2,StackDepth=[1e9 1],NumFilters=[4 4]); u = unet3d([8 8 8 1],2,EncoderDepth=1e6);\n"
    'd = deeplabv3plusLayers([64 64 3],1e6,"resnet18");\n',
    "a loop without end": "k = 0;\nwhile true\n k = k + 1;\nend\n",
    "loops in loops": "for a = 1:1000, for b = 1:1000, for c = 1:1000, k = a; end, end, end\n",
    "loops that count": "k = 0;\nfor a = 1:1000, for b = 1:1000, k = k + 1; end, end\n",
    "recursion": "function r = f(n)\nr = f(n + 1);\nend\n",
    "recursion by handle": "f = @(g, n) g(g, n + 1);\nz = f(f, 1);\n",
    "a huge power": "x = 9^9^9^9^9;\ny = 10^400;\n",
    "a huge index": "c = {};\nc{1e15} = 1;\nq(1e9) = 2;\n",
    "an open string": "x = 'abc\n",
    "an open bracket": "layers = [ fullyConnectedLayer(3\n",
    "a lone end": "end\nend\n)\n",
    "long concatenation": "s = 'a';\nfor i = 1:60, s = [s s]; end\n",
    "a wide text": "s = sprintf('%999999d', 1);\n",
    "a heavy pattern": "r = regexp('" + "a" * 40 + "!', '(a*)*$', 'once');\n",
    "eval": "eval('layers = []');\n",
}


# What comes of a good script behind a hostile text, and before it: the error, or exit code and MaxEpochs (None: no recipe). A
# text that only fills variables which no training uses changes nothing; one that MATLAB cannot parse, or that may set any
# variable, is not understood; one that is nested beyond measure is refused.
HARMLESS, OPEN = ((0, 3), (0, 3)), ((3, 3), (3, 3))
OUTCOMES: dict[str, tuple[str | tuple[int, int | None], str | tuple[int, int | None]]] = {
    **dict.fromkeys(HOSTILE, HARMLESS),
    **dict.fromkeys(("brackets", "arrays", "blocks"), ("nested too deeply", "nested too deeply")),
    **dict.fromkeys(("loops that count", "an open string", "eval", "a huge network"), OPEN),
    "an open bracket": ("holds no training", (3, 3)),  # the whole script lies in it
    "a lone end": ((3, None), (3, 3)),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("before", [True, False])
def test_hostile(kind: str, before: bool, tmp_path: Path) -> None:
    path, expected = tmp_path / "hostile.m", OUTCOMES[kind][0 if before else 1]
    path.write_text(HOSTILE[kind] + GOOD if before else GOOD + HOSTILE[kind], encoding="utf-8")
    if isinstance(expected, str):
        with pytest.raises(BridgeError, match=expected) as refused:
            read(path)
        assert refused.value.cause and refused.value.hint
        return
    found = read(path)
    epochs = None if found.recipe is None else found.recipe.options.MaxEpochs
    assert (found.exit_code, epochs) == expected, found.not_understood
    assert bool(found.not_understood) == (found.exit_code == 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1251", "utf-8 with \r\n"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    comment = (
        "% обучение сети — 'слои'\n" if encoding in ("utf-8", "cp1251") else "% età, perché l'addestramento è così\n"
    )
    comment = comment.replace("—", "-") if encoding == "cp1251" else comment
    text = comment + GOOD
    path = tmp_path / "script.m"
    path.write_bytes(text.replace("\n", "\r\n").encode() if "with" in encoding else text.encode(encoding))
    found = read(path)
    assert found.exit_code == 0 and found.recipe is not None and found.recipe.options.MaxEpochs == 3
    assert {entry.line for entry in found.facts if "MaxEpochs" in entry.what} == {3}


def test_no_script(tmp_path: Path) -> None:
    (tmp_path / "binary.m").write_bytes(b"\0\1\2" * 100)
    for name in ("missing.m", "binary.m", "."):
        with pytest.raises(UnreadableError):
            read(tmp_path / name)


def test_no_file_outside_the_folder_is_opened(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.m").write_text(
        "function l = secret(l)\nl(2).WeightLearnRateFactor = 7;\nend\n", encoding="utf-8"
    )
    (inner / "s.m").write_text(
        "net = alexnet;\nl = secret(net.Layers);\nS = load('../net.mat');\nt = trainNetwork(x,y,l,trainingOptions('adam'));\n",
        encoding="utf-8",
    )
    found = read(inner / "s.m")
    assert found.exit_code == 3 and found.recipe is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_and_garbled_scripts(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is cut out of a script or put into it, the answer is a result or a `BridgeError`."""
    text = GOOD + "lgraph = layerGraph(net.Layers);\nfor i = 1:3\n l{i} = lgraph.Layers(i).Name;\nend\n"
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    path = tmp_path / "garbled.m"
    path.write_text(
        text[:start] + data.draw(st.text("()[]{}'\"%.,;=:@~&|\n end1x", max_size=12)) + text[stop:], encoding="utf-8"
    )
    try:
        read(path)
    except BridgeError as error:
        assert error.error
