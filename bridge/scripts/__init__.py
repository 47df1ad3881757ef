"""The recipe in a MATLAB script, read without MATLAB and without running it: `read("script.m")`.

The way from text to recipe, by module:
    syntax: text to a tree, functions of the file and of files beside it.
    values, graphs: what variables hold: numbers, text, layers, networks, options, datastores, and what is not known.
    evaluate, operators, indexing, assignment, statements: a small evaluator, which follows variables through the tree.
    known: the tables and the registry of MATLAB's functions; general, networks, surgery, training: what each gives.
    reading, edits, writing, settings, data, traps: from what is trained to the recipe.
    findings: what is told on the way, each with its line.
"""

from __future__ import annotations

from bridge.scripts.reading.script import Reading, read

__all__ = ["Reading", "read"]
