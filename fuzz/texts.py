"""Changes of JSON, TOML, MATLAB scripts and tables as text."""

from __future__ import annotations

import json
import re
import struct
from random import Random
from typing import Any

from fuzz.changes import REALS, TEXTS, changed_integer, changed_text, number

DEEP = 100_000  # brackets
TOKENS = re.compile(r"[A-Za-z_][\w.-]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"[^\"\n]*\"|'[^'\n]*'|[^\w\s]|\n")
OF_MATLAB = (
    "end", "for i = 1:1e9", "while true", "if true", "function f(varargin)", "x = x(:, end+1);", "x{end}.y = 1;", "ans",
    "clear all", "layers(end-2:end) = [];", "a = repmat('x', 1, 1e9);", "net = net.Layers;", "return", "...", "%{", "~",
    "x = [x; x];", "zeros(1e6);", "lgraph = layerGraph(net);", "switch 1", "try", "eval('x=1')", "x.('y') = 1;", "1:0",
    "s = struct('a', {{}});", "x = ones(3)'.^2;", "cellfun(@(y) y, {1});", "for k = layers", "f = @f; f(f);", "{", ")",
    "x(1e9) = 1;", "x = \"a\" + 1;", "num2cell(1:1e7);", "global g", "load('net.mat')", "!rm x", "[1 2; 3]", "@(x) x",
    "[a, b] = deal(1);", "'",
)  # fmt: skip
OF_TOML = (
    "[[edits]]", "[network]", "[options]", "[data]", 'freeze = "*"', 'remove = "*"', "x = inf", "x = nan", "[a.b.c]",
    "x = 1979-05-27", "x = " + "[" * 500 + "]" * 500, 'name = "squeezenet"', "with_classes = 3", "MaxEpochs = 1e9",
    'Shuffle = "no"', "split = [2, -1]", "add = []", 'replace = {"*" = {}}', "randomized = 7", 'file = "../x"', "[[",
    'solver = "lbfgs"',
)  # fmt: skip


def changed_json(text: str, random: Random) -> str:
    """Change one to three values of a JSON text."""
    value = json.loads(text)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _changed_value(value, random)
    made = json.dumps(value, indent=random.choice((None, 1)))
    deep = random.choice(("[" * DEEP, '{"a":' * DEEP, "[" * 400 + "]" * 400))
    return made.replace('"DEEP"', deep, 1) if '"DEEP"' in made else made


def _changed_value(value: Any, random: Random) -> Any:
    """Change one value somewhere inside; each level is as likely."""
    inside = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not inside or random.random() < 0.12:
        return _other(value, random)
    key, what = random.choice(inside), random.random()
    if what < 0.06:
        del value[key]
    elif what < 0.1 and isinstance(value, dict):
        value[changed_text(key, random)] = value.pop(key)
    elif what < 0.14:
        value[key] = value[random.choice(inside)]
    elif what < 0.17 and isinstance(value, list):
        value.insert(key, value[key])
    else:
        value[key] = _changed_value(value[key], random)
    return value


def _other(value: Any, random: Random) -> Any:
    if isinstance(value, str) and random.random() < 0.6:
        return changed_text(value, random)
    if isinstance(value, int) and random.random() < 0.6:
        return changed_integer(int(value), random)
    if isinstance(value, float) and random.random() < 0.6:
        return random.choice(REALS)
    others = (None, True, False, 0, -1, number(random), 10**400, random.choice(REALS), random.choice(TEXTS), "DEEP")
    return random.choice((*others, [], {}, [value], {"a": value}, [1] * 40, [[1, 2], [3]]))


def changed_safetensors(data: bytes, random: Random) -> bytes:
    """Change the header of a safetensors file, or the length it declares."""
    (length,) = struct.unpack_from("<Q", data)
    header, rest = data[8 : 8 + length], data[8 + length :]
    if random.random() < 0.15:
        return struct.pack("<Q", number(random) % (1 << 64)) + header + rest
    made = changed_json(header.decode(), random).encode()
    return struct.pack("<Q", len(made)) + made + rest


def changed_source(text: str, random: Random, phrases: tuple[str, ...]) -> str:
    """Change one to four tokens or lines of a TOML text, a script or a table."""
    for _ in range(random.choice((1, 1, 2, 4))):
        text = _changed_line(text, random, phrases) if random.random() < 0.4 else _changed_token(text, random, phrases)
    return text


def _changed_line(text: str, random: Random, phrases: tuple[str, ...]) -> str:
    lines = text.splitlines() or [""]
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    what = random.randrange(5)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(other, lines[at])
    elif what == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 3 and phrases:
        lines.insert(at, random.choice(phrases))
    else:
        lines[at] += random.choice(("", " ")) + lines[other]
    return "\n".join(lines) + "\n"


def _changed_token(text: str, random: Random, phrases: tuple[str, ...]) -> str:
    tokens = list(TOKENS.finditer(text))
    if not tokens:
        return random.choice(TEXTS)
    token, other = random.choice(tokens), random.choice(tokens)
    old = token.group()
    choices = [other.group(), "", old * 2, f"[{old}]", f'"{random.choice(TEXTS[:20])}"', changed_text(old, random)]
    if old[0].isdigit():
        choices += [str(number(random)), repr(random.choice(REALS)), "1" + "0" * 400, f"-{old}", "1e999"] * 2
    if phrases:
        choices.append(random.choice(phrases))
    return text[: token.start()] + random.choice(choices) + text[token.end() :]
