"""`synthralos credentials`: the provider keys of this machine by name, and which of them providers refuse."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cli.options import DatabaseUrl, Json, opened, output, settings
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from synthralos.domain.credential_states import CredentialStanding

app = typer.Typer(
    no_args_is_help=True,
    help="See provider keys by name: where they come from, and whether providers take them. Values are never shown.\n\n"
    "They come from variables (OPENAI_API_KEY, a second one in OPENAI_API_KEY_2), from files (OPENAI_API_KEY_FILE) and "
    "from a directory (SECRETS_DIR) with one file each, named openai, openai.2 or openai.eu. Files may be replaced "
    "while everything runs.",
)


@app.command("list")
def list_credentials(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the keys that deployments want: source, state, since when refused, and by which deployments.

    Sources are this machine's; states are those that all workers share, in the database of DATABASE_URL.

    Example: `synthralos credentials list --json | jq '.credentials[] | select(.state == "refused")'`
    """
    from synthralos.config.catalog import load_catalog  # noqa: PLC0415 - slow to import, like the rest
    from synthralos.config.credentials import Credentials  # noqa: PLC0415
    from synthralos.domain.credential_states import standings  # noqa: PLC0415
    from synthralos.store.admin.breakers import BreakerStore  # noqa: PLC0415

    chosen = settings(database_url=database_url)
    catalog = load_catalog(chosen.catalog_file)
    credentials = Credentials.from_settings(chosen, os.environ, catalog)
    with opened(database_url) as database:
        breakers = BreakerStore(database).all()
    sources = {key.name: key.source for key in credentials.keys}
    found = standings(credentials.wanted(catalog), sources, breakers)
    shown = {"credentials": [_plain(each, sources) for each in found]}
    output(context, as_json).show(shown, lambda: _table(found, sources))


def _plain(found: "CredentialStanding", sources: "Mapping[str, str]") -> dict[str, Any]:
    return {**asdict(found), "source": sources.get(found.name)}


def _table(found: "Sequence[CredentialStanding]", sources: "Mapping[str, str]") -> Listing:
    columns = (
        Column("name"),
        Column("state"),
        Column("source", cut=True),
        Column("refused since"),
        Column("by", cut=True),
        Column("reason", cut=True),
    )
    return Listing(
        columns,
        [
            [
                each.name,
                str(each.state),
                sources.get(each.name, ""),
                local(each.since) if each.since else "",
                ", ".join(each.refused_by),
                one_line(each.reason),
            ]
            for each in found
        ],
    )
