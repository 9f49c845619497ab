"""The options of a provider that go along with embeddings: most of them are for chats."""

from collections.abc import Collection, Mapping
from typing import Any

from pipelines.providers.wire import NotTaken
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request


def embedding_options(
    request: Request, deployment: Deployment, known: Collection[str], widened: Collection[str]
) -> Mapping[str, Any]:
    """The request's options for this provider; raises `NotTaken` for one that is neither `known` nor `widened`."""
    options: Mapping[str, Any] = request.provider_options.get(deployment.provider) or {}
    for name in options:
        if name not in known and name not in widened:
            raise NotTaken(f"provider_options.{deployment.provider}.{name}: is for chats; leave it out")
    return options
