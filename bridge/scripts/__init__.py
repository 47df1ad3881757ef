"""The recipes in a MATLAB script, read without MATLAB and without running it: `read("script.m")`, `read_all`.

The way from text to recipe:
    language: text to a tree, and a small evaluator that follows variables through it. It knows no deep learning.
        syntax, values, calls: the tree, what a variable may hold, functions and what they may ask of the evaluator.
        operators, indexing, assignment, statements, evaluate: the evaluator.
        general, texts, paths, random, draws: MATLAB's own functions.
        findings: what is told on the way, each with its line.
    reading: what a script says about training.
        objects, study: layers, networks, options and datastores as values; what is looked for.
        graphs, networks, surgery, training: MATLAB's functions of deep learning.
        structure, settings, data, traps, script: from what is trained to the recipe.
"""

from __future__ import annotations

from bridge.scripts.reading.script import Reading, read, read_all

__all__ = ["Reading", "read", "read_all"]
