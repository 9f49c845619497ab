"""Whatever is logged, no secret of ours, nothing that looks like one, and no prompt reaches the line."""

import io
import json
import logging
from typing import Any
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from synthralos.telemetry.logs import formatter
from synthralos.telemetry.redaction import PRIVATE, Redactor, secrets_of

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
words = st.text(_ALPHABET, min_size=12, max_size=40)
noise = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
around = st.sampled_from(["", " ", "\n", "(", '"', "'", ", ", "=", ": ", "\t"])

shapes = st.sampled_from(
    [
        "Authorization: Bearer {}", "authorization: Basic {}", "'Authorization': 'Bearer {}'", "Bearer {}",
        '{{"authorization": "Bearer {}"}}', "x-api-key: {}", "x-goog-api-key: {}", "api_key={}", '"api-key": "{}"',
        "OPENAI_API_KEY={}", "RUDDERSTACK_WRITE_KEY={}", "sk-service-token={}",
        "password={}", "sk-{}", "sk-ant-{}", "sk-syn-{}", "AIzaSy{}xxxxxxxx", "postgresql://user:{}@host:5432/name",
        "amqp://user:{}@host:5672/v;amqp://user:{}@other/v", "redis://:{}@host/0", "http://me:{}@proxy:3128",
        "https://host/path?token={}&x=1", "Cookie: {}",
    ]
)  # fmt: skip


def line_of(redactor: Redactor, text: str, **extra: Any) -> str:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter("api", "json", redactor))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.info("%s", text, extra=extra)
    return out.getvalue()


@given(noise, around, shapes, words)
def test_what_has_the_form_of_a_secret_is_hidden(before: str, between: str, shape: str, secret: str) -> None:
    assume(secret not in before)
    text = before + between + " " + shape.replace("{{", "{").replace("}}", "}").replace("{}", secret)
    assert secret not in line_of(Redactor(), text)


@given(noise, around, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=40), noise)
def test_a_known_secret_is_hidden_wherever_it_stands(before: str, between: str, secret: str, after: str) -> None:
    redactor = Redactor([secret])
    shown = redactor.text(before + between + secret + after)
    assert secret not in shown.replace("[redacted]", "\0")


@given(st.text(_ALPHABET + "@:/%#? !", min_size=6, max_size=30), st.sampled_from(["postgresql", "amqp", "redis"]))
def test_passwords_of_urls_are_known_in_both_spellings(password: str, scheme: str) -> None:
    written = quote(password, safe="")
    url = f"{scheme}://user:{written}@host:1/name"
    redactor = Redactor(secrets_of([None, url, f"{url};{url}"], {}))
    for text in (f"cannot reach {url}", f"it is <{password}>", f"it is <{written}>"):
        shown = redactor.text(text).replace("[redacted]", "\0")
        assert password not in shown
        assert written not in shown


@given(st.sampled_from(sorted(PRIVATE)), st.text(_ALPHABET, min_size=8), st.integers(0, 3))
def test_what_a_tenant_sent_is_hidden_however_deep(name: str, prompt: str, depth: int) -> None:
    value: Any = {name: [{"part": prompt}]}
    for _ in range(depth):
        value = [{"inner": value}]
    assert prompt not in line_of(Redactor(), "x", about=value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_line_is_one_line_of_json(text: str) -> None:
    written = line_of(Redactor(), text)
    assert written.count("\n") == 1
    assert isinstance(json.loads(written)["event"], str)


@given(st.lists(words, max_size=3))
def test_ordinary_ids_and_numbers_stay_readable(ids: list[str]) -> None:
    text = f"job 0190a1b2-0000-7000-8000-000000000000 at guard, 17 of 500 items, ids {ids}"
    assert Redactor(["another-secret"]).text(text) == text
