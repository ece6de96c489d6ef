"""A process that does operations on a campaign: it reads requests from standard input, and answers each.

The server never loads a model: what takes long or much memory ends with its process, and a process that is
stopped leaves the campaign as it was. Each operation opens the campaign anew.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from wrlso.campaign import commands
from wrlso.campaign.advice import read_on_page
from wrlso.campaign.model_views import latent_map, predictions_lean_on, report_sections
from wrlso.campaign.start_table import AS_BEFORE, Form
from wrlso.exceptions import DataError, WrlsoError
from wrlso.storage.lock import AUTHOR

__all__ = ["main", "work"]


def work(request: dict[str, Any]) -> Any:
    """Do what a request says, and return what to say of it."""
    if request.get("who"):
        os.environ[AUTHOR] = request["who"]
    else:
        os.environ.pop(AUTHOR, None)
    campaign, what = Path(request["campaign"]), request["what"]
    parts = {name: request[name] for name in ("model", "feasible") if request.get(name)}
    if what == "ask":
        opt = commands.open_campaign(campaign, **parts, verbose=1)
        return commands.ask(opt, campaign, request["n"])[1][:1]
    if what == "retrain":
        return commands.retrain(commands.open_campaign(campaign, **parts, verbose=1))
    if what in ("sections", "map", "leaning"):
        opt = commands.open_campaign(campaign, **parts, autosave=False)
        if what == "leaning":
            return predictions_lean_on(opt, request["most"])
        return latent_map(opt) if what == "map" else report_sections(opt, request["names"])
    with commands.recording(campaign, **parts) as opt:
        return _change(opt, campaign, request)


def _change(opt: Any, campaign: Path, request: dict[str, Any]) -> Any:
    """Make a change that takes no time, and return what to say of it."""
    what, reason = request["what"], request.get("reason") or None
    if what == "tell":
        return commands.tell(
            opt,
            campaign,
            Path(request["file"]),
            form=Form(decimal=request.get("decimal") or None),
            ids=request["ids"],
            replicates=request["replicates"],
            choices={(row, column): choice for row, column, choice in request["choices"]},
            reason=request["reason"],
            check=request["check"],
        )
    if what == "update":
        return commands.update(opt, request["point"], request["value"], form=AS_BEFORE, reason=reason)
    if what == "release":
        return commands.release(opt, [request["point"]], reason=reason, again=request["again"])
    if what == "accept":
        return commands.accept(opt, request["point"])
    if what == "note":
        return commands.note(opt, request["point"], request["text"])
    raise ValueError(f"unknown operation {what!r}")


def main() -> None:
    """Answer each line of JSON by another one: "lines", or "error" with its "notes"."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no part of the answer
    import wrlso.optimizer  # noqa: F401 - takes seconds, before the first request comes

    for line in sys.stdin:
        try:
            with read_on_page():
                result: dict[str, Any] = {"lines": work(json.loads(line))}
        except (WrlsoError, OSError) as error:
            result = {"error": str(error), "notes": list(getattr(error, "__notes__", []))}
            if isinstance(error, DataError) and error.cells:
                result |= {"cells": dict(error.cells), "recorded": dict(error.recorded)}
        answers.write(json.dumps(result) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
