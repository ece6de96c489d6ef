"""The command that serves a campaign's page: argument parsing only."""

from typing import Annotated

import typer

from wrlso.cli.campaign import Campaign, Feasible, Model

__all__ = ["serve"]


def serve(
    campaign: Campaign,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the page is.")] = 8765,
    host: Annotated[
        str, typer.Option(help="The address to listen on; other machines need the token that is printed.")
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every change.")] = False,
    model: Model = None,
    feasible: Feasible = None,
) -> None:
    """Show a campaign as a page in the browser, where batches are asked for and results told. Ctrl-C ends it.

    For example:
      wrlso serve kinase
      wrlso serve kinase --host 0.0.0.0 --read-only
    """
    from wrlso.web.app import serve as run

    run(
        campaign,
        host=host,
        port=port,
        browser=not no_browser,
        read_only=read_only,
        model=model,
        feasible=feasible,
        say=typer.echo,
    )
