"""MATLAB's image arithmetic: reading, resizing, colours, augmentation, and folders of images. Works without torch."""

from bridge.images.augment import augmentedImageDatastore, imageDataAugmenter
from bridge.images.color import gray2rgb, im2double, im2single, imread, rescale, rgb2gray
from bridge.images.folders import ImageDatastore, imageDatastore
from bridge.images.imresize import imresize
from bridge.images.overlay import jet, labeloverlay
from bridge.images.pixels import (
    PixelCount,
    PixelLabelDatastore,
    inverse_frequency,
    median_frequency,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
)
from bridge.images.segmentation import SegmentationMetrics, evaluateSemanticSegmentation

__all__ = [
    "ImageDatastore",
    "PixelCount",
    "PixelLabelDatastore",
    "SegmentationMetrics",
    "augmentedImageDatastore",
    "evaluateSemanticSegmentation",
    "gray2rgb",
    "im2double",
    "im2single",
    "imageDataAugmenter",
    "imageDatastore",
    "imread",
    "imresize",
    "inverse_frequency",
    "jet",
    "labeloverlay",
    "median_frequency",
    "pixelLabelDatastore",
    "pixelLabelImageDatastore",
    "rescale",
    "rgb2gray",
]
