"""Object detection as MATLAB has it: a folder for each family of detectors, how they are trained and measured."""

from bridge.detection.anchors import estimate_anchor_boxes
from bridge.detection.box_images import BoxImages
from bridge.detection.boxes import overlap_ratio, select_strongest
from bridge.detection.detector import Detections, DetectOptions, Detector
from bridge.detection.family import FAMILIES, Candidates, Family, Head, family_of, is_detector
from bridge.detection.ground_truth import GroundTruth, read_ground_truth, write_ground_truth
from bridge.detection.precision import Precision, evaluate_detection_precision
from bridge.detection.yolo.head import YOLO
from bridge.detection.yolo.loss import YOLOLoss
from bridge.detection.yolov2.head import YOLOv2
from bridge.detection.yolov2.loss import YOLOv2Loss

__all__ = [
    "FAMILIES",
    "YOLO",
    "BoxImages",
    "Candidates",
    "DetectOptions",
    "Detections",
    "Detector",
    "Family",
    "GroundTruth",
    "Head",
    "Precision",
    "YOLOLoss",
    "YOLOv2",
    "YOLOv2Loss",
    "estimate_anchor_boxes",
    "evaluate_detection_precision",
    "family_of",
    "is_detector",
    "overlap_ratio",
    "read_ground_truth",
    "select_strongest",
    "write_ground_truth",
]
