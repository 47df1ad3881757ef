"""NASNet-Mobile and NASNet-Large: cells of separable convolutions, each fed by the two cells before it.

Names, options and connections of NASNet-Large are those of MATLAB's list; in which order MATLAB lists parallel branches
is unconfirmed, here it is Keras's. MATLAB's list of NASNet-Mobile was not seen: it is what the same builder makes of
its numbers. Large skips the cell before a reduction where Mobile does not.
"""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0}
SAME: dict[str, Any] = {"Padding": "same"}
CORNER = [2, 2]  # x and y of the cut that moves an image by one pixel, from 1


def nasnetmobile(classes: Classes) -> Graph:
    return nasnet(classes, 224, stem=32, filters=44, blocks=4)


def nasnetlarge(classes: Classes) -> Graph:
    return nasnet(classes, 331, stem=96, filters=168, blocks=6, skips_reduction=True, instance=2)


def nasnet(
    classes: Classes,
    size: int,
    *,
    stem: int,
    filters: int,
    blocks: int,
    skips_reduction: bool = False,
    instance: int = 1,
) -> Graph:
    """Return a NASNet-A.

    Args:
        classes: their number or names.
        size: height and width of the input.
        stem: filters of the first convolution.
        filters: of the first normal cells; each reduction doubles them.
        blocks: normal cells between reductions.
        skips_reduction: whether the cell behind a reduction takes the reduction's second input as its own.
        instance: how many networks Keras had made with this one: it numbers layers without a name of their own.
    """
    graph = _Cells(instance)
    graph.image_input(f"input_{instance}", (size, size, 3), "rescale-symmetric")
    graph.conv("stem_conv1", 3, stem, Stride=2, **FIXED)
    start = graph.normalized("stem_bn1")
    before, start = start, graph.reduction("stem_1", start, None, filters // 4, stem=stem)
    before, start = start, graph.reduction("stem_2", start, before, filters // 2, halves=True)
    for stage in range(3):
        width, halves = (
            filters * 2**stage,
            True,
        )  # what the first cell behind a reduction takes is twice as high and wide as the cell
        if stage:
            reduced = graph.reduction(f"reduce_{stage * blocks}", start, before, width)
            before, start = before if skips_reduction else start, reduced
        for block in range(blocks):
            before, start = (
                start,
                graph.normal(str(stage * blocks + block + (stage > 0)), start, before, width, halves=halves),
            )
            halves = False
    graph.activation(start)
    graph.add(layers.global_average_pooling2d(name=f"global_average_pooling2d_{instance}"))
    graph.classifier(classes, "predictions", "predictions_softmax", "ClassificationLayer_predictions")
    return graph.sort_as_keras()


class _Cells(Graph):
    """A graph that numbers what Keras numbers: activations, and the layers of each halving and each reduction."""

    def __init__(self, instance: int) -> None:
        super().__init__()
        self._activations = 0 if instance == 1 else 260
        self._halvings = self._reductions = 4 * (instance - 1)

    def normalized(self, name: str, *source: str) -> str:
        return self.batch_norm(name, *source, Epsilon=1e-3)

    def activation(self, source: str) -> str:
        self._activations += 1
        return self.relu(f"activation_{self._activations}", source)

    def separables(self, name: str, source: str, size: int, filters: int, channels: int, stride: int = 1) -> str:
        """Append two convolutions, each of every channel by itself and then across them."""
        for number, (width, step) in enumerate(((channels, stride), (filters, 1)), 1):
            source = self.activation(source)
            self.separable(f"separable_conv_{number}_{name}", size, width, filters, Stride=step, **FIXED)
            source = self.normalized(f"separable_conv_{number}_bn_{name}")
        return source

    def squeezed(self, conv: str, batch_norm: str, source: str, filters: int) -> str:
        self.activation(source)
        self.conv(conv, 1, filters, **SAME, **FIXED)
        return self.normalized(batch_norm)

    def adjusted(self, cell: str, source: str, filters: int, halves: bool) -> str:
        """Bring the input before a cell's own to its filters, and to half the height and width."""
        if not halves:
            return self.squeezed(f"adjust_conv_projection_{cell}", f"adjust_bn_{cell}", source, filters)
        self._halvings += 1
        start, number = self.relu(f"adjust_relu_1_{cell}", source), self._halvings
        self._pool(f"adjust_avg_pool_1_{cell}", start, 1, 2)
        even = self.conv(f"adjust_conv_1_{cell}", 1, filters // 2, **SAME, **FIXED)
        padded = self.add(layers.zero_padding2d(name=f"zero_padding2d_{number}", PaddingSize=[0, 1, 0, 1]), start)
        self.add(layers.crop2d("custom", name=f"cropping2d_{number}", Location=CORNER), padded, start)
        self._pool(f"adjust_avg_pool_2_{cell}", self.last, 1, 2)
        odd = self.conv(f"adjust_conv_2_{cell}", 1, filters // 2, **SAME, **FIXED)
        self.concat(f"concatenate_{number}", even, odd)
        return self.normalized(f"adjust_bn_{cell}")

    def _pool(self, name: str, source: str, size: int, stride: int, **properties: Any) -> str:
        return self.add(layers.average_pooling2d(size, name=name, Stride=stride, **properties), source)

    def normal(self, cell: str, start: str, before: str, filters: int, *, halves: bool) -> str:
        """Append a cell that keeps height and width."""
        p = self.adjusted(cell, before, filters, halves)
        h = self.squeezed(f"normal_conv_1_{cell}", f"normal_bn_1_{cell}", start, filters)

        def separable(side: str, source: str, size: int) -> str:
            return self.separables(f"normal_{side}_{cell}", source, size, filters, filters)

        def averaged(side: str, source: str) -> str:
            return self._pool(f"normal_{side}_{cell}", source, 3, 1, **SAME)

        def sum_of(number: int, first: str, second: str) -> str:
            return self.add_up(f"normal_add_{number}_{cell}", first, second)

        sums = [
            sum_of(1, separable("left1", h, 5), separable("right1", p, 3)),
            sum_of(2, separable("left2", p, 5), separable("right2", p, 3)),
            sum_of(3, averaged("left3", h), p),
            sum_of(4, averaged("left4", p), averaged("right4", p)),
            sum_of(5, separable("left5", h, 3), h),
        ]
        return self.concat(f"normal_concat_{cell}", p, *sums)

    def reduction(
        self, cell: str, start: str, before: str | None, filters: int, *, halves: bool = False, stem: int = 0
    ) -> str:
        """Append a cell that halves height and width; without an input before its own, that one serves as both."""
        p, channels = (start, stem) if before is None else (self.adjusted(cell, before, filters, halves), filters)
        h = self.squeezed(f"reduction_conv_1_{cell}", f"reduction_bn_1_{cell}", start, filters)
        self._reductions += 1

        def separable(side: str, source: str, size: int, width: int = filters, stride: int = 2) -> str:
            return self.separables(f"reduction_{side}_{cell}", source, size, filters, width, stride)

        first = self.add_up(f"reduction_add_1_{cell}", separable("left1", h, 5), separable("right1", p, 7, channels))
        maximum = self.max_pool(f"reduction_left2_{cell}", 3, 2, h, **SAME)
        second = self.add_up(f"reduction_add_2_{cell}", maximum, separable("right2", p, 7, channels))
        average = self._pool(f"reduction_left3_{cell}", h, 3, 2, **SAME)
        third = self.add_up(f"reduction_add3_{cell}", average, separable("right3", p, 5, channels))
        fourth = self.add_up(
            f"add_{self._reductions}", second, self._pool(f"reduction_left4_{cell}", first, 3, 1, **SAME)
        )
        left = separable("left4", first, 3, stride=1)
        fifth = self.add_up(f"reduction_add4_{cell}", left, self.max_pool(f"reduction_right5_{cell}", 3, 2, h, **SAME))
        return self.concat(f"reduction_concat_{cell}", second, third, fourth, fifth)
