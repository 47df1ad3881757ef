"""Object detection: YOLO v2 with MATLAB's decoding, and how it is trained and measured."""

from bridge.detection.anchors import estimate_anchor_boxes
from bridge.detection.boxes import overlap_ratio, select_strongest
from bridge.detection.detector import Detections, Detector
from bridge.detection.ground_truth import BoxImages, GroundTruth, read_ground_truth
from bridge.detection.head import Head, is_detector
from bridge.detection.loss import YOLOv2Loss
from bridge.detection.precision import Precision, evaluate_detection_precision

__all__ = [
    "BoxImages",
    "Detections",
    "Detector",
    "GroundTruth",
    "Head",
    "Precision",
    "YOLOv2Loss",
    "estimate_anchor_boxes",
    "evaluate_detection_precision",
    "is_detector",
    "overlap_ratio",
    "read_ground_truth",
    "select_strongest",
]
