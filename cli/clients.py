"""The client for the server that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from synthralos_client import Client

RETRIES = 3
"""Somebody sits in front of it: a server that is not there is told within two seconds."""


@contextmanager
def client_of(context: typer.Context) -> Iterator[Client]:
    """The client for the server that the command line names; closed at the end."""
    url = context.parent.params.get("url") if context.parent else None
    with Client(url, max_retries=RETRIES) as client:
        yield client
