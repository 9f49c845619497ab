"""What is found as private, what is not, and that no text takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.privacy.find import find
from pipelines.privacy.kinds import Kind

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

PRIVATE = [
    ("Mail jo.doe+x@sub.example.co.uk.", Kind.EMAIL, "jo.doe+x@sub.example.co.uk"),
    ("an <müller@büro.example> too", Kind.EMAIL, "müller@büro.example"),
    ("pay 4111 1111 1111 1111 now", Kind.CARD_NUMBER, "4111 1111 1111 1111"),
    ("5 4111-1111-1111-1111", Kind.CARD_NUMBER, "4111-1111-1111-1111"),
    ("amex 378282246310005.", Kind.CARD_NUMBER, "378282246310005"),
    ("amex 3782 822463 10005", Kind.CARD_NUMBER, "3782 822463 10005"),
    ("IBAN DE89 3704 0044 0532 0130 00 and more", Kind.IBAN, "DE89 3704 0044 0532 0130 00"),
    ("to gb29nwbk60161331926819.", Kind.IBAN, "gb29nwbk60161331926819"),
    ("SSN 536-90-4399", Kind.NATIONAL_ID, "536-90-4399"),
    ("NI no AB 12 34 56 C", Kind.NATIONAL_ID, "AB 12 34 56 C"),
    ("DNI 12345678Z", Kind.NATIONAL_ID, "12345678Z"),
    ("NIE X1234567L", Kind.NATIONAL_ID, "X1234567L"),
    ("codice RSSMRA85T10A562S", Kind.NATIONAL_ID, "RSSMRA85T10A562S"),
    ("NIR 1 85 05 78 006 084 91", Kind.NATIONAL_ID, "1 85 05 78 006 084 91"),
    ("Steuer-ID 36574261809", Kind.NATIONAL_ID, "36574261809"),
    ("PESEL 44051401359", Kind.NATIONAL_ID, "44051401359"),
    ("call +49 (0)30 1234567", Kind.PHONE, "+49 (0)30 1234567"),
    ("or (415) 555-2671", Kind.PHONE, "(415) 555-2671"),
    ("Tel. 030 1234567", Kind.PHONE, "030 1234567"),
    ("OPENAI sk-proj-abcdefghijklmnop1234567890", Kind.API_KEY, "sk-proj-abcdefghijklmnop1234567890"),
    ("AKIAIOSFODNN7EXAMPLE", Kind.API_KEY, "AKIAIOSFODNN7EXAMPLE"),
    ("use ghp_abcdefghijklmnopqrstuvwxyz0123456789AB!", Kind.API_KEY, "ghp_abcdefghijklmnopqrstuvwxyz0123456789AB"),
    (f"Bearer {JWT}", Kind.API_KEY, JWT),
    (f"key:\n{PEM}\nend", Kind.PRIVATE_KEY, PEM),
    ("PASSWORD: hunter22x", Kind.PASSWORD, "hunter22x"),
    ("İ my password is Tr0ub4dor&3", Kind.PASSWORD, "Tr0ub4dor&3"),
    ("postgres://app:s3cretpw@db/x", Kind.PASSWORD, "s3cretpw"),
]

HARMLESS = [
    "",
    "user@localhost, @someone, a@b",
    "4111 1111 1111 1112 is no card, nor is 1234567890123456",
    "it was 2024-01-15 10:30; call on 2024-01-15",
    "pi is 3.14159265358979, the id 123456789012, version 10.0.19041.1234",
    "DE89 3704 0044 0532 0130 01 does not add up",
    "000-12-3456 and 666-12-3456 are not given out",
    "sk-learn-pipelines-are-fine-to-use, task-force-of-many-people-here",
    "max_tokens=4096, token count: 4096tokens",
    "the password is required; password: <your-password-1>; key = ${API_KEY_1}; api_key=os.environ1",
    "postgres://user:<password>@host and https://example.com:8080/a@b",
    "commit 3f2a9c4411115555666677778888",
    "12345678A has the wrong letter",
]


@pytest.mark.parametrize(("text", "kind", "value"), PRIVATE, ids=[value[:20] for _, _, value in PRIVATE])
def test_private_values_are_found_where_they_stand(text: str, kind: Kind, value: str) -> None:
    assert [(f.kind, text[f.start : f.end]) for f in find(text)] == [(kind, value)]


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_are_left_alone(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("call 415-555-2671 415-555-2672", ["415-555-2671", "415-555-2672"]),
        ("4111111111111111 415-555-2671", ["4111111111111111", "415-555-2671"]),
        ("536-90-4399 +1 (415) 555-2671", ["536-90-4399", "+1 (415) 555-2671"]),
        ("+44 (0)20 7293 0972 +33 1 42 68 53 00", ["+44 (0)20 7293 0972", "+33 1 42 68 53 00"]),
    ],
)
def test_numbers_in_a_row_are_found_each(text: str, values: list[str]) -> None:
    assert [text[f.start : f.end] for f in find(text)] == values


def test_of_what_overlaps_the_first_and_longest_is_kept() -> None:
    text = "password=sk-abcdefghijklmnopqrstuvwxyz1"
    assert [text[f.start : f.end] for f in find(text)] == ["sk-abcdefghijklmnopqrstuvwxyz1"]


@given(st.text(st.sampled_from("aA1@.:-+=/ \n(eyJskDE0\ud800é")))
def test_whatever_the_text_places_are_in_order_and_apart(text: str) -> None:
    end = 0
    for found in find(text):
        assert end <= found.start < found.end <= len(text)
        end = found.end


PATTERNS = [
    "sk-", "eyJ", "eyJa.eyJb", "@", "a@", "a@b.", "1", "1 ", "1-", "-----BEGIN PRIVATE KEY-----", "://a:", "password=",
    "DE12 ", "DE12", "(", "+", "tel 1234567 ", "4111 ", "SG.a", "token is ", "\u00a01",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_time_grows_no_faster_than_the_text(pattern: str) -> None:
    def seconds(size: int) -> float:
        text = pattern * (size // len(pattern))
        began = time.process_time()
        find(text)
        return time.process_time() - began

    # Eight times the text: 8 by a linear search, 64 by a quadratic one.
    assert any(seconds(400_000) < 24 * max(seconds(50_000), 0.001) for _ in range(3))
