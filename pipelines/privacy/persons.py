"""Personal data in a text: e-mail addresses, phone numbers, card numbers, IBANs, national ids of a few countries.

Numbers are believed where their check digits are right (`stdnum`), and those that many other numbers would pass for
only where a word before them says what they are. Every repetition is bounded: the time is linear in the text.
"""

import re
import string
from collections.abc import Callable, Iterator
from typing import Any

from stdnum import iban, luhn
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

from pipelines.privacy.kinds import Found, Kind, without_overlaps

_SEPARATORS = b" ().-/\xa0?"
"""What may stand within a number, and what stands for characters beyond Latin-1."""
_COMPACT = bytes.maketrans(
    (string.ascii_letters + string.digits).encode(), b"a" * len(string.ascii_letters) + b"0" * len(string.digits)
)
_WITH_SPACES = bytes(code if code in b"a0_" else 32 for code in _COMPACT)
_DIGITS, _IBAN = b"0" * 7, b" aa00"
_AMONG_LETTERS = (b"aa000000a", b"aaaaaa00a00a000a")

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[\w-]{1,63}+\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_NUMBER = re.compile(r"[0-9](?:[ ().\-/\u00a0\u2011]{0,2}[0-9]){6,29}")
_CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}"
)
_CARD_SPACING = re.compile(
    r"(?<!\d)(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}(?:\1\d{1,4}){1,2}|\d{4}([ -])\d{6}\2\d{4,5})(?!\d)"
)
_DATE = re.compile(r"(?:19|20)\d\d([-/. ])\d\d\1\d\d(?!\d)|\d\d?([-/.])\d\d?\2(?:19|20)\d\d(?!\d)")
_AMERICAN = re.compile(
    r"(?<![\w+=#/.\-])(?:\+?1[ .-]?)?(?:\([2-9]\d\d\)|[2-9]\d\d)[ .-]{1,2}[2-9]\d\d[ .-]\d{4}(?![\w-])"
)
_PHONE_WORDS = re.compile(
    r"(?:tel|phone|telefon|téléphone|teléfono|telefono|mobil|móvil|portable|handy|cell|call|fax|whatsapp|sms)\w{0,8}"
    r"\W{0,4}(?:\w{1,12}\W{1,3}){0,3}$",
    re.IGNORECASE,
)

_LETTERED = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?P<iban>[A-Za-z]{2}[0-9]{2}(?:[ \u00a0]?[A-Za-z0-9]){11,30})"
    r"|(?:(?P<dni>[0-9]{8}-?[A-Za-z])|(?P<nie>[XYZxyz]-?[0-9]{7}-?[A-Za-z])"
    r"|(?P<codice>[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z])"
    # HMRC, National Insurance Manual NIM39110: letters that do not come first, and prefixes that are not given out.
    r"|(?P<nino>(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D])"
    r")(?![A-Za-z0-9_]))"
)
"""Numbers with letters among them."""

_CHECKS: dict[str, Callable[[str], bool]] = {
    "dni": dni.is_valid, "nie": nie.is_valid, "codice": codicefiscale.is_valid, "nino": bool,
}  # fmt: skip

_NUMBERED: tuple[tuple[int, str | None, Callable[[str], bool]], ...] = (
    (15, None, nir.is_valid),
    (9, r"ssn|social security", ssn.is_valid),
    (11, r"steuer|identifikationsn|idnr|tax", idnr.is_valid),
    (11, r"pesel", pesel.is_valid),
    (9, r"bsn|burgerservice", bsn.is_valid),
)
"""Digits, the words that have to stand before them, and the check."""

_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_BEFORE, _NEAR = 40, 24

_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH CR HR LI LV", "22": "BG BH DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Characters of an IBAN by country. Source: SWIFT, IBAN Registry (ISO 13616)."""


def find_personal(text: str) -> Iterator[Found]:
    """All personal data; they may overlap."""
    if "@" in text:
        yield from (Found(Kind.EMAIL, *m.span()) for m in _EMAIL.finditer(text))
    # The patterns take ten times as long as a look for the digits and letters that they need.
    data = text.encode("latin-1", "replace")
    compact = data.translate(_COMPACT, _SEPARATORS)
    numbers = _DIGITS in compact
    if numbers:
        for match in _NUMBER.finditer(text):
            if _stands_alone(text, *match.span()):
                yield from _in_number(text, match)
    if numbers or any(each in compact for each in _AMONG_LETTERS) or _IBAN in b" " + data.translate(_WITH_SPACES):
        for match in _LETTERED.finditer(text):
            yield from _in_letters(match)


def _in_letters(match: "re.Match[str]") -> Iterator[Found]:
    name = match.lastgroup or ""
    if name != "iban":
        if _CHECKS[name](match[0]):
            yield Found(Kind.NATIONAL_ID, *match.span())
    elif (end := _iban_end(match)) is not None:
        yield Found(Kind.IBAN, match.start(), end)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no letter and no digit touches it."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    return not (before.isalnum() or before == "_" or after.isalnum() or after == "_")


def _in_number(text: str, number: "re.Match[str]") -> Iterator[Found]:
    """What digits with separators between them hold: several numbers in a row look like one."""
    start, end = number.span()
    known = without_overlaps(
        [
            *(Found(Kind.CARD_NUMBER, *m.span()) for m in _CARD_SPACING.finditer(text, start, end) if _is_card(m[0])),
            *(Found(Kind.NATIONAL_ID, *m.span()) for m in _SSN.finditer(text, start, end) if ssn.is_valid(m[0])),
            *(Found(Kind.PHONE, *m.span()) for m in _AMERICAN.finditer(text, _with_sign(text, start), end)),
        ]
    )
    for found in known:
        yield from _alone(text, start, found.start)
        yield found
        start = found.end
    yield from _alone(text, start, end)


def _with_sign(text: str, start: int) -> int:
    """Where a number begins, with its plus sign and parenthesis."""
    while start and text[start - 1] in "+(":
        start -= 1
    return start


def _alone(text: str, begin: int, end: int) -> Iterator[Found]:
    """What a number is that stands for itself."""
    for number in _NUMBER.finditer(text, begin, end):
        start = number.start()
        before, digits = text[max(0, start - _BEFORE) : start], _digits(number[0])
        if _is_national_id(digits, before):
            yield Found(Kind.NATIONAL_ID, *number.span())
        elif _is_phone(number[0], digits, before):
            yield Found(Kind.PHONE, _with_sign(text, start), number.end())


def _digits(written: str) -> str:
    return "".join(filter(str.isdecimal, written))


def _is_card(written: str) -> bool:
    digits = _digits(written)
    return _CARDS.fullmatch(digits) is not None and luhn.is_valid(digits)


def _is_national_id(digits: str, before: str) -> bool:
    return any(
        length == len(digits)
        and (words is None or re.search(words, before, re.IGNORECASE) is not None)
        and is_valid(digits)
        for length, words, is_valid in _NUMBERED
    )


def _is_phone(written: str, digits: str, before: str) -> bool:
    if before.endswith(("+", "+(")):
        return 8 <= len(digits) <= 15 and digits[0] != "0"
    if _DATE.match(written) or before.endswith(("#", "=", "/")):
        return False
    return 7 <= len(digits) <= 15 and _PHONE_WORDS.search(before[-_NEAR:].rstrip("(")) is not None


def _iban_end(match: "re.Match[str]") -> int | None:
    """Where the IBAN ends, by the length that its country gives it: words that follow look like more of it."""
    written = match[0]
    length = _IBAN_LENGTHS.get(written[:2].upper(), 0)
    letters = written.replace(" ", "").replace("\u00a0", "")[:length]
    if len(letters) < length or not length or not _adds_up(letters) or not _is_iban(letters):
        return None
    places = [place for place, letter in enumerate(written) if letter.isalnum()]
    return match.start() + places[length - 1] + 1


def _adds_up(letters: str) -> bool:
    """Whether its check digits are right; the rest is `stdnum`'s, which takes longer."""
    return int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1


def _is_iban(letters: str) -> bool:
    valid: Any = iban.is_valid(letters, check_country=False)
    return bool(valid)
