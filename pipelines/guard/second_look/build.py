"""The second look that the settings ask for."""

from pipelines.encoders.build import Encoders
from pipelines.encoders.protocol import EncoderError
from pipelines.guard.second_look.protocol import SecondLook
from pipelines.guard.second_look.transformer import TransformerLook, load_heads
from pipelines.weights import WeightsError
from synthralos.config.settings import Settings, SettingsError


def build_second_look(settings: Settings, encoders: Encoders) -> SecondLook | None:
    """None where none is asked for. Raises `SettingsError` where it cannot be had."""
    if settings.abuse_second_look == "off":
        return None
    assert settings.abuse_second_look_model is not None  # the settings were checked
    try:
        return TransformerLook(
            encoders.of(settings.abuse_second_look_model),
            load_heads(),
            settings.abuse_second_look_timeout,
            settings.abuse_second_look_failure == "open",
        )
    except EncoderError as error:
        raise SettingsError(f"ABUSE_SECOND_LOOK_MODEL: {error}") from None
    except WeightsError as error:
        raise SettingsError(f"ABUSE_SECOND_LOOK: {error}") from None
