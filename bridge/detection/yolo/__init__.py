"""YOLO v3 and v4: their heads, their decoding, which prediction an object belongs to, their losses."""
