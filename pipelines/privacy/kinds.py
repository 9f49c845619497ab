"""The kinds of private data, and what may be done about them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a private value is. The name in capitals stands in placeholders: `[EMAIL_1]`."""

    API_KEY = "api_key"
    PRIVATE_KEY = "private_key"
    PASSWORD = "password"  # noqa: S105 - the name of a kind
    CARD_NUMBER = "card_number"
    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    NATIONAL_ID = "national_id"


SECRETS = frozenset({Kind.API_KEY, Kind.PRIVATE_KEY, Kind.PASSWORD})
"""The kinds that open something; all others are about persons."""

WORDS: Mapping[Kind, tuple[str, str]] = {
    Kind.API_KEY: ("an API key or token", "API keys or tokens"),
    Kind.PRIVATE_KEY: ("a private key", "private keys"),
    Kind.PASSWORD: ("a password", "passwords"),
    Kind.CARD_NUMBER: ("a card number", "card numbers"),
    Kind.EMAIL: ("an e-mail address", "e-mail addresses"),
    Kind.PHONE: ("a phone number", "phone numbers"),
    Kind.IBAN: ("an IBAN", "IBANs"),
    Kind.NATIONAL_ID: ("a national id", "national ids"),
}
"""How people say one of each kind, and several."""


@dataclass(frozen=True, slots=True)
class Found:
    """A private value in a text: characters `start` to `end`."""

    kind: Kind
    start: int
    end: int


def without_overlaps(found: Iterable[Found]) -> list[Found]:
    """By place; of those that share characters the one that begins first, and of these the longest."""
    kept: list[Found] = []
    end = 0
    for each in sorted(found, key=lambda f: (f.start, -f.end)):
        if each.start >= end:
            kept.append(each)
            end = each.end
    return kept
