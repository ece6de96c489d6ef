"""Models that the command line knows by name, those in files, and those of users' own code.

Nothing that a campaign's files name is ever imported: a name in a file is looked up among the built-in ones,
and code of one's own runs only where the command, or the environment variable ``WRLSO_MODEL``, names it. A
file of weights is no code; a campaign keeps a copy of its own, so that it needs no naming.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wrlso._utils.random import isolated_torch_rng, seed_of
from wrlso.exceptions import ModelError, ParameterError
from wrlso.models.protocol import LatentModel
from wrlso.storage.folder import PRETRAINED, is_campaign

__all__ = ["BUILT_IN", "VARIABLE", "kept_model", "make_model", "model_of_campaign", "named_callable"]

VARIABLE = "WRLSO_MODEL"
_FILE = ".safetensors"


def _expressions(random_state: int) -> LatentModel:
    from wrlso.tasks.expressions.task import Expressions

    model: LatentModel = Expressions().model(random_state)
    return model


def _selfies(random_state: int) -> LatentModel:
    from wrlso.models.selfies.vae import SelfiesVAE

    return SelfiesVAE.pretrained()


def _junction_tree(random_state: int) -> LatentModel:
    from wrlso.models.junction_tree.vae import JunctionTreeVAE

    return JunctionTreeVAE.pretrained()


# Name → (seed → untrained or pretrained model whose x are text). A new line is all that a new name needs.
BUILT_IN: dict[str, Callable[[int], LatentModel]] = {
    "expressions": _expressions,
    "selfies": _selfies,
    "junction-tree": _junction_tree,
}


def make_model(name: str, random_state: Any) -> LatentModel:
    """Return a model: a built-in one by its name, or what ``package.module:factory`` returns when called.

    A name that ends with .safetensors is that of a file that a model of molecules was written to.

    Raises
    ------
    ParameterError
        When there is no such name, file, module or factory, or the seed cannot be.
    ModelError
        When the factory returns no model, or the file holds none.
    """
    seed = seed_of(random_state)
    if name.endswith(_FILE):
        return _model_in(Path(name))
    if ":" not in name:
        if name not in BUILT_IN:
            raise ParameterError(
                f"there is no model {name!r}; built in: {', '.join(sorted(BUILT_IN))}; your own: "
                "package.module:factory, a function without arguments that returns a model, or a file "
                f"NAME{_FILE} of a model of molecules"
            )
        return BUILT_IN[name](seed)
    factory = named_callable(name)
    with isolated_torch_rng(seed):
        model: LatentModel = factory()
    if not callable(getattr(model, "tensorize", None)):
        raise ModelError(f"{name} must return a LatentModel (such as a VAE), got {type(model).__name__}")
    return model


def named_callable(name: str) -> Callable[..., Any]:
    """Import ``package.module:callable``, from the current folder too."""
    module_name, _, attribute = name.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)  # last: no file in it can stand in for an installed package
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ParameterError(
            f"cannot import {module_name!r} of {name!r}: {error} (looked for it in {folder}, too)"
        ) from error
    found = getattr(module, attribute, None) if attribute else None
    if not callable(found):
        raise ParameterError(f"{module_name} has no function {attribute!r}; expected package.module:function")
    return found  # type: ignore[no-any-return]


@contextmanager
def kept_model(name: str, model: Any, folder: Path) -> Iterator[None]:
    """Write the model of a file into a campaign's folder; undone where no campaign comes to be.

    What was read is written, as the file itself may be another one by now.
    """
    try:
        if name.endswith(_FILE):
            model.to_file(folder / PRETRAINED)
        yield
    except BaseException:
        if not is_campaign(folder):
            (folder / PRETRAINED).unlink(missing_ok=True)
        raise


def _model_in(path: Path) -> LatentModel:
    from wrlso.models.files import load_molecule_model

    if not path.is_file():
        raise ParameterError(f"there is no file {path} to read a model from")
    return load_molecule_model(path)


def model_of_campaign(folder: Path, given: str | None, recorded: str | None, seed: int = 0) -> LatentModel:
    """Return the model that a campaign was made with.

    Parameters
    ----------
    folder : Path
        The campaign.
    given : str or None
        What the command says.
    recorded : str or None
        What the campaign's files say; only a built-in name is taken from there, or the campaign's own file.

    Raises
    ------
    ParameterError
        When only code of the user's own could make the model, and the command does not name it.
    """
    if given is not None:
        return make_model(given, seed)
    if recorded in BUILT_IN:
        return make_model(recorded, seed)
    if recorded is not None and recorded.endswith(_FILE) and (folder / PRETRAINED).is_file():
        return _model_in(folder / PRETRAINED)
    named = os.environ.get(VARIABLE)
    if named:
        return make_model(named, seed)
    if recorded is not None and recorded.endswith(_FILE):
        raise ParameterError(
            f"this campaign was started with the model in {recorded!r:.120}, and {folder / PRETRAINED}, its "
            "copy of that, is not there: name the file with --model"
        )
    noted = f" It was made with {recorded!r:.120}: say so again if you trust that code." if recorded else ""
    raise ParameterError(
        "this campaign's model is made by code of your own, which no file of a campaign can start: name it "
        f"with --model package.module:factory, or in the variable {VARIABLE}.{noted}"
    )
