"""YOLO v2: its head, its decoding, which prediction an object belongs to, its loss."""
