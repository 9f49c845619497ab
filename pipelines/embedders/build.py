"""What places prompts beside the built-in embedder, as the settings ask for it."""

from pipelines.embedders.endpoint import EmbeddingsEndpoint
from pipelines.encoders.build import Encoders
from pipelines.encoders.protocol import Encoder, EncoderError
from synthralos.config.settings import Settings, SettingsError
from synthralos.telemetry.outages import Outages


def build_endpoint(settings: Settings, outages: Outages) -> EmbeddingsEndpoint | None:
    """The one at SIMILARITY_URL; None where prompts are not placed by an endpoint."""
    if settings.similarity_embedder != "openai":
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


def build_encoder(settings: Settings, encoders: Encoders) -> Encoder | None:
    """The one of SIMILARITY_MODEL; None where none is asked for. Raises `SettingsError` where it cannot be had."""
    if settings.similarity_embedder != "sentence-transformers":
        return None
    assert settings.similarity_model is not None  # the settings were checked
    try:
        return encoders.of(settings.similarity_model)
    except EncoderError as error:
        raise SettingsError(f"SIMILARITY_MODEL: {error}") from None
