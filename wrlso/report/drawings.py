"""Draw one x on a page: as text, as a small picture, or as the model or a registered function draws it.

Pictures are embedded as ``data:`` images. No image can run scripts or fetch anything.
"""

import base64
import logging
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from wrlso._chemistry.drawing import molecule_svg
from wrlso.models.protocol import DrawsObjects

__all__ = ["draw", "image_source", "molecule_svg", "picture", "register_drawing", "text_of"]

Drawing = Callable[[Any], str]

_logger = logging.getLogger(__name__)
_registered: dict[type | str, Drawing] = {}
_SMALLEST_PICTURE = 3  # pixels: a narrower array is a table of numbers
_WORDS = 16  # numbers of an array that are written out


def register_drawing(kind: type | str, function: Drawing) -> None:
    """Let a function draw objects in reports.

    Parameters
    ----------
    kind : type or str
        The type of x; or the class name of the model, for x such as strings that say little of themselves.
        The model's name comes first, then what the model itself draws
        (``DrawsObjects`` of ``wrlso/models/protocol.py``), then the nearest type.
    function : callable x → str
        Returns a drawing as SVG. Where it raises, x is written as text, and the reason is logged.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from wrlso.report import register_drawing
    >>> bar = '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="9"><path d="M0 4h99"/></svg>'
    >>> register_drawing(Fraction, lambda x: bar.format(int(99 * x)))
    """
    _registered[kind] = function


def text_of(x: Any, length: int = 200) -> str:
    """Return x as one line of text of at most so many characters."""
    x = _plain(x)
    if isinstance(x, str):
        text = x
    elif isinstance(x, np.ndarray) and x.ndim > 1:
        text = f"array of shape {' × '.join(map(str, x.shape))}"
    elif isinstance(x, np.ndarray):
        shown = " ".join(f"{v:.4g}" if x.dtype.kind == "f" else str(v) for v in x[:_WORDS])
        text = f"[{shown}{' …' if len(x) > _WORDS else ''}]"
    else:
        text = repr(x)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def draw(x: Any, model: Any, *, pixels: int = 64, registered: bool = True) -> Markup:
    """Return markup for x: a drawing where there is one, else text.

    Parameters
    ----------
    x : object
    model : LatentModel
        Draws x where it can, unless a function is registered for its class name.
    pixels : int, default=64
        Images are thinned to at most about so many pixels along each side.
    registered : bool, default=True
        Whether models and registered functions draw; long tables do without.
    """
    found = picture(x, model, pixels=pixels, registered=registered)
    if found is None:
        return Markup("<code>{}</code>").format(text_of(x))
    source, style = found
    return Markup('<img class="{}" src="{}" alt="{name}" title="{name}">').format(
        style, source, name=text_of(x)
    )


def picture(x: Any, model: Any, *, pixels: int = 64, registered: bool = True) -> tuple[str, str] | None:
    """Return the data URI of a picture of x and its kind, "drawing" or "pixels"; None where there is none."""
    function = _function_for(x, model) if registered else None
    if function is not None:
        try:
            svg = function(x)
        except Exception as error:  # a user's function, which must not cost the report
            _logger.warning("no drawing of %s: %s", text_of(x, 80), error)
        else:
            return image_source(svg.encode(), "svg+xml"), "drawing"
    levels = _pixels(x)
    if levels is None:
        return None
    step = -(-max(levels.shape[:2]) // pixels)
    return image_source(_png(levels[::step, ::step]), "png"), "pixels"


def image_source(data: bytes, kind: str) -> str:
    """Return a data URI that holds a picture."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _function_for(x: Any, model: Any) -> Drawing | None:
    for parent in type(model).__mro__:
        if parent.__name__ in _registered:
            return _registered[parent.__name__]
    if isinstance(model, DrawsObjects):
        return model.draw
    return next((_registered[kind] for kind in type(x).__mro__ if kind in _registered), None)


def _plain(x: Any) -> Any:
    """Return x with a tensor as an array, and an array of no dimensions as the number that it is."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    return x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x


def _pixels(x: Any) -> np.ndarray | None:
    """Return x as grey levels or colours between 0 and 1, (h, w) or (h, w, 3), where it is an image."""
    x = _plain(x)
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "buif":
        return None
    if x.ndim == 3 and x.shape[0] in (1, 3) and x.shape[2] not in (1, 3):
        x = np.moveaxis(x, 0, 2)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    colours = x.ndim == 3 and x.shape[2] == 3
    if not (x.ndim == 2 or colours) or min(x.shape[:2]) < _SMALLEST_PICTURE:
        return None
    values = np.asarray(np.nan_to_num(x.astype(np.float64), posinf=0.0, neginf=0.0))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    if x.dtype == np.uint8:
        low, high = 0.0, 255.0
    return np.asarray((values - low) / ((high - low) or 1.0))


def _png(picture: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    buffer = BytesIO()
    imsave(buffer, picture, cmap="gray", vmin=0, vmax=1, format="png", metadata={"Software": "wrlso"})
    return buffer.getvalue()
