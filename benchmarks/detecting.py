"""How much detection costs beside the network: 100 images of 416 x 416 in memory, from pixels to boxes.

YOLO v2 on ResNet-50's activation_40_relu, untrained, with a threshold that some boxes pass. Median of the CPU time of
paired runs, one thread.

    python -m benchmarks.detecting
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

BACKBONE, FEATURE = "resnet50", "activation_40_relu"
IMAGES, SIZE, LIMIT, PAIRS = 100, 416, 1.1, 3
ANCHORS = [(32, 32), (64, 128), (128, 64), (256, 256)]
SHARE = 0.05  # of the boxes that the threshold lets pass


def main() -> None:
    import bridge
    from benchmarks.loading import paired
    from bridge.detection.detector import DetectOptions
    from bridge.networks import architecture, yolov2_layers

    torch.set_num_threads(1)
    base = architecture(BACKBONE)
    network = yolov2_layers((SIZE, SIZE, 3), ["car", "bus"], ANCHORS, base, FEATURE).initialize(0)
    detector = network.to_detector()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(IMAGES)]
    batch = DetectOptions().mini_batch_size
    ready = torch.stack([detector.prepare(image) for image in images]).split(batch)
    with torch.no_grad():
        scores = detector.family.candidates(detector(ready[0])).scores
    threshold = float(scores.quantile(1 - SHARE)) if scores.numel() < 1 << 24 else float(scores.max())

    def alone() -> None:
        with torch.no_grad():
            for x in ready:
                detector.model(x)

    found = sum(len(each.labels) for each in detector.detect(images[:batch], threshold=threshold))
    ratio = paired(lambda: detector.detect(images, threshold=threshold), alone, PAIRS, time.process_time)
    print(f"detection / network alone, {IMAGES} images of {SIZE} x {SIZE} (within {LIMIT}): {ratio:.3f}")
    print(f"  {found / batch:.0f} boxes an image are left; bridge {bridge.__version__}")
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
