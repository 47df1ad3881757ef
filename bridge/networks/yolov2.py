"""YOLO v2: a network cut behind a feature layer, and a head that says where objects are."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import layers
from bridge.errors import UsageError
from bridge.network import Layer, Network
from bridge.networks.graph import Classes, count, up_to


def yolov2_layers(
    image_size: Sequence[int],
    classes: Classes,
    anchors: Sequence[tuple[float, float]],
    network: Network,
    feature_layer: str,
) -> Network:
    """Return what MATLAB's yolov2Layers(imageSize, numClasses, anchorBoxes, network, featureLayer) does.

    The layers up to the feature layer stay with their values; those of the head have none yet (`initialize`).

    Args:
        image_size: [height, width, channels].
        classes: the number of classes, or their names.
        anchors: (height, width) of each anchor box, in pixels.
        network: what the features come from.
        feature_layer: the name of the layer that puts them out.

    Raises:
        UsageError: there is no such layer, it gives no features of an image, or there are no anchors.
    """
    if not anchors or not all(len(box) == 2 and min(box) > 0 for box in anchors):
        raise UsageError(
            f"the anchor boxes are {anchors!r}", "each is (height, width) in pixels", "write [(64, 64), (128, 64)]"
        )
    kept = up_to(network, feature_layer)
    behind = [layer for layer in network.layers if layer.name not in kept]
    base = (network.remove(behind) if behind else network).with_input_size(image_size)
    size = base.sizes[feature_layer][0]
    if len(size.spatial) != 2 or size.channels is None:
        raise UsageError(
            f"layer '{feature_layer}' puts out {size}",
            "features are an image of several channels",
            "choose a layer before the pooling",
        )
    head = _head(size.channels, classes, anchors)
    return base.add(head).connect(feature_layer, head[0].name)


def _head(channels: int, classes: Classes, anchors: Sequence[tuple[float, float]]) -> list[Layer]:
    made: list[Layer] = []
    for number in (1, 2):
        made += [
            layers.convolution2d(
                3, channels, name=f"yolov2Conv{number}", Padding="same", WeightsInitializer="narrow-normal"
            ),
            layers.batch_normalization(name=f"yolov2Batch{number}"),
            layers.relu(name=f"yolov2Relu{number}"),
        ]
    boxes = tuple(box[side] for side in (0, 1) for box in anchors)  # column by column, as the reader keeps matrices
    named = {} if isinstance(classes, int) else {"Classes": tuple(classes)}
    predicted = len(anchors) * (5 + count(classes))
    return [
        *made,
        layers.convolution2d(1, predicted, name="yolov2ClassConv", WeightsInitializer="narrow-normal"),
        layers.yolov2_transform(len(anchors), name="yolov2Transform"),
        layers.yolov2_output(
            boxes, name="yolov2OutputLayer", LossFactors=(5, 1, 1, 1), NumClasses=count(classes), **named
        ),
    ]
