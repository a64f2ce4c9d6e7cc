"""A model in training, as it is kept between runs."""

import pathlib

import torch

from model import Model, Shape


def save(path: pathlib.Path, model: Model, optimizer_list, step: int, tokens: int):
    """Writes a checkpoint beside its name first, so that a broken-off write loses nothing."""
    part = path.with_suffix(".part")
    torch.save({"shape": vars(model.shape), "model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizer_list], "step": step, "tokens": tokens}, part)
    part.rename(path)


def load(path: pathlib.Path) -> tuple[Model, dict]:
    """The model of a checkpoint, and the checkpoint."""
    saved = torch.load(path, weights_only=True)
    model = Model(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    return model, saved
