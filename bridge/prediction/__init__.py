"""What a network says about images, sequences and arrays in files: classes, labels, values, regions or boxes."""

from bridge.prediction.closed_loop import closed_loop
from bridge.prediction.found import Prediction
from bridge.prediction.options import Options
from bridge.prediction.predictor import Predictor

__all__ = ["Options", "Prediction", "Predictor", "closed_loop"]
