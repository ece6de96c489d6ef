"""Models by name: built-in ones, those in files, and those that users' own code makes.

Nothing that a campaign's files name is ever imported: a name in a file is looked up among the built-in ones,
and users' code runs only where the command, or the environment variable ``WRLSO_MODEL``, names it. A file of
weights is not code; the campaign keeps a copy of it, which later commands read without being told.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrlso._chemistry.smiles import SALTS
from wrlso._utils.validation import check_choice
from wrlso.campaign.advice import advise
from wrlso.exceptions import ModelError, ParameterError
from wrlso.storage.names import PRETRAINED

if TYPE_CHECKING:
    from wrlso.models.protocol import LatentModel

__all__ = [
    "BUILT_IN", "VARIABLE", "default_salts", "keep_model", "make_model", "model_of_campaign",
    "named_callable", "set_salts",
]  # fmt: skip

VARIABLE = "WRLSO_MODEL"
_FILE = ".safetensors"


def _expressions(random_state: int) -> "LatentModel":
    from wrlso.tasks.expressions.task import Expressions

    model: LatentModel = Expressions().model(random_state)
    return model


def _selfies(random_state: int) -> "LatentModel":
    from wrlso.models.selfies.vae import SelfiesVAE

    return SelfiesVAE.pretrained()


def _junction_tree(random_state: int) -> "LatentModel":
    from wrlso.models.junction_tree.vae import JunctionTreeVAE

    return JunctionTreeVAE.pretrained()


def _sequences(alphabet: str) -> Callable[[int], "LatentModel"]:
    def make(random_state: int) -> "LatentModel":
        from wrlso._utils.random import isolated_torch_rng
        from wrlso.models.sequences.vae import SequenceVAE

        with isolated_torch_rng(random_state):
            return SequenceVAE(alphabet)

    return make


def _coding_dna(random_state: int) -> "LatentModel":
    from wrlso._sequences.coding_rules import CodingRules

    return _sequences("protein")(random_state).keep(CodingRules())  # type: ignore[attr-defined, no-any-return]


# Name → (seed → untrained or pretrained model whose x are text). A new line is all that a new name needs.
BUILT_IN: dict[str, Callable[[int], "LatentModel"]] = {
    "expressions": _expressions,
    "selfies": _selfies,
    "junction-tree": _junction_tree,
    "protein": _sequences("protein"),
    "dna": _sequences("dna"),
    "rna": _sequences("rna"),
    "coding-dna": _coding_dna,
}


def make_model(name: str, random_state: Any) -> "LatentModel":
    """Return a model: a built-in one by its name, or what ``package.module:factory`` returns when called.

    A name that ends with .safetensors is that of a file that a model of molecules was written to.

    Raises
    ------
    ParameterError
        When there is no such name, file, module or factory, or the seed is invalid.
    ModelError
        When the factory returns no model, or the file holds none.
    """
    if name.endswith(_FILE):
        return _model_in(Path(name))
    if ":" not in name:
        if name not in BUILT_IN:
            raise ParameterError(
                f"there is no model {name!r}; built in: {', '.join(sorted(BUILT_IN))}; your own: "
                "package.module:factory, a function without arguments that returns a model, or a file "
                f"NAME{_FILE} of a model of molecules"
            )
        return BUILT_IN[name](_seed(random_state))
    factory = named_callable(name)
    from wrlso._utils.random import isolated_torch_rng

    with isolated_torch_rng(_seed(random_state)):
        model: LatentModel = factory()
    if not callable(getattr(model, "tensorize", None)):
        raise ModelError(f"{name} must return a LatentModel (such as a VAE), got {type(model).__name__}")
    return model


def default_salts(name: str, model: Any) -> str | None:
    """Return what a new campaign does with salts: it takes the largest fragment, where the model is ours."""
    return "largest" if ":" not in name and hasattr(model, "salts") else None


def set_salts(model: Any, salts: str | None) -> str | None:
    """Let a model refuse salts, take the largest fragment, or this neutralised; None leaves it as it is.

    Returns ``salts``.
    """
    if salts is None:
        return None
    if not hasattr(model, "salts"):
        raise ParameterError(
            f"--salts is for models of molecules, got {type(model).__name__}, which has no parameter salts: "
            "leave it out"
        )
    check_choice("salts", salts, SALTS)
    model.salts = salts
    return salts


def _seed(random_state: Any) -> int:
    from wrlso._utils.random import seed_of

    return seed_of(random_state)


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


def keep_model(name: str, model: Any, folder: Path) -> None:
    """Write the model of a file into the folder of a new campaign.

    The loaded model is written, not the file, which may have changed since.
    """
    (folder / PRETRAINED).unlink(missing_ok=True)  # of an attempt that was killed
    if name.endswith(_FILE):
        model.to_file(folder / PRETRAINED)


def _model_in(path: Path) -> "LatentModel":
    if not path.is_file():
        raise ParameterError(f"there is no file {path} to read a model from")
    from wrlso.models.files import load_molecule_model

    return load_molecule_model(path)


def model_of_campaign(folder: Path, given: str | None, recorded: str | None, seed: int = 0) -> "LatentModel":
    """Return the model that a campaign was made with.

    Parameters
    ----------
    folder : Path
        The campaign.
    given : str or None
        Name in the command.
    recorded : str or None
        Name in the campaign's files; it is used only where it is a built-in name, or that of a file of which
        the campaign has a copy.

    Raises
    ------
    ParameterError
        When the user's own code makes the model, and the command does not name it.
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
            f"this campaign was started with the model in {recorded!r:.120}, and its copy of that file, "
            f"{folder / PRETRAINED}, is missing: {advise('model file')}"
        )
    noted = f". It was made with {recorded!r:.120}: {advise('same model code')}" if recorded else ""
    raise ParameterError(
        "this campaign's model is made by code of your own, and wrlso runs no code because a campaign names "
        f"it: {advise('model code', variable=VARIABLE)}{noted}"
    )
