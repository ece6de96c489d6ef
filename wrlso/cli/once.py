"""Commands that refuse an option that is given twice, of which the last would silently win."""

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["OnceCommand", "refuse_repeats"]


class OnceCommand(TyperCommand):
    """A command whose options are given once each, unless they are made to be given several times."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments; raises a usage error for an option that is there twice."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, n in Counter(order).items():
            if n > 1 and parameter.param_type_name == "option" and not parameter.multiple:
                hint = " / ".join(parameter.opts)
                raise typer.BadParameter(f"must be given once, but is given {n} times", ctx, None, hint)
        return super().parse_args(ctx, args)


def refuse_repeats(app: typer.Typer) -> None:
    """Let all commands of an app, and of its groups, be such ones."""
    for command in app.registered_commands:
        command.cls = OnceCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            refuse_repeats(group.typer_instance)
