"""MATLAB's image arithmetic: reading, resizing, colours, augmentation, and folders of images. Works without torch."""

from bridge.images.augment import augmentedImageDatastore, imageDataAugmenter
from bridge.images.color import gray2rgb, im2double, im2single, imread, rescale, rgb2gray
from bridge.images.folders import ImageDatastore, imageDatastore
from bridge.images.imresize import imresize

__all__ = [
    "ImageDatastore",
    "augmentedImageDatastore",
    "gray2rgb",
    "im2double",
    "im2single",
    "imageDataAugmenter",
    "imageDatastore",
    "imread",
    "imresize",
    "rescale",
    "rgb2gray",
]
