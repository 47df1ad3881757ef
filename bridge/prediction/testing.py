"""What a trained network says about the images that its recipe leaves for testing."""

from __future__ import annotations

from pathlib import Path

from bridge.network import Network
from bridge.prediction.confusion import Confusion
from bridge.prediction.options import Options
from bridge.prediction.predictor import Predictor
from bridge.recipes.preparation import test_images
from bridge.recipes.recipe import Recipe


def tested(
    recipe: Recipe, network: Network, data: str | Path | None = None, *, device: str | None = None
) -> Confusion | None:
    """Return how often which class was predicted as which, of the images that neither trained nor validated; None where
    the recipe leaves none, or the network does not classify.

    Args:
        recipe: its split says which images these are.
        network: the trained network.
        data: the folder it was trained on, instead of the recipe's own.
        device: as `Predictor` takes it.
    """
    images = test_images(recipe, None if data is None else Path(data))
    if images is None or images.Labels is None:
        return None
    color = "" if recipe.data.ColorPreprocessing == "none" else recipe.data.ColorPreprocessing
    predictor = Predictor(network, Options(color), device=device)
    if predictor.task != "classification":
        return None
    predictor.labels = dict(zip(images.Files, images.Labels, strict=True))
    return predictor.confusion(predictor.predict(images.Files))
