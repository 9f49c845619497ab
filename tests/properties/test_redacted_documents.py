"""A document is cleaned wherever a text of it would be: the quick look at its JSON passes over nothing."""

from hypothesis import given
from hypothesis import strategies as st

from synthralos.telemetry.redaction import Redactor

KNOWN = ['we"ird\\secret', "größer-geheim", "plain-secret-1"]
PARTS = [
    "password", "Token", "api_key", "authorization", "cookie", "Bearer ", "basic ", ":", "=", ' "', "'", "\n", "\t",
    " ", "\\", "hunter2", "abcdefgh", "sk-", "rk-", "AIza", "AKIAABCDEFGHIJKL", "eyJabcdefghij", ".", "https://", "ann",
    "@", "/", "x", "1234", "é", "s", *KNOWN,
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_a_document_is_cleaned_wherever_its_text_would_be(text: str) -> None:
    redactor = Redactor(KNOWN)
    cleaned = redactor.text(f"n={text}").removeprefix("n=")
    assert redactor.document({"deep": [{"n": text}]}) == {"deep": [{"n": cleaned}]}
