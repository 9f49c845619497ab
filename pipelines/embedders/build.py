"""The embeddings endpoint that the settings ask for."""

from pipelines.embedders.endpoint import EmbeddingsEndpoint
from synthralos.config.settings import Settings
from synthralos.telemetry.outages import Outages


def build_endpoint(settings: Settings, outages: Outages) -> EmbeddingsEndpoint | None:
    """The one at SIMILARITY_URL; None where prompts are placed by the built-in embedder."""
    if settings.similarity_embedder == "builtin":
        return None
    assert settings.similarity_url is not None  # the settings were checked
    assert settings.similarity_model is not None
    key = settings.similarity_key
    return EmbeddingsEndpoint(
        settings.similarity_url,
        settings.similarity_model,
        None if key is None else key.get_secret_value(),
        settings.similarity_timeout,
        outages,
    )
