import pytest

from pipelines.tokens import TokenCounter, encoding_for, estimate, measure, prompt_texts, upper_bound
from synthralos.domain.jobs import Request


def test_an_estimate_is_a_quarter_of_the_bytes_rounded_up_plus_the_chat_format() -> None:
    assert estimate(["abcde"]) == 2 + 3 + 3
    assert estimate(["äöü"]) == 2 + 3 + 3
    assert estimate([]) == 3


def test_the_upper_bound_counts_every_byte_as_a_token() -> None:
    assert upper_bound(["abc", "ü"]) == 5 + 2 * 3 + 3


def test_measuring_survives_a_lone_surrogate() -> None:
    assert measure(["a\ud800"]) == (2, 4, 1)
    assert TokenCounter().count(["a\ud800"]) > 0


@pytest.mark.parametrize(
    ("encoding", "tokens"),
    # Counts published by tiktoken's tests and README for "hello world": two tokens in both encodings.
    [("cl100k_base", 2), ("o200k_base", 2)],
)
def test_an_exact_count_is_openais(encoding: str, tokens: int) -> None:
    assert TokenCounter().count(["hello world"], encoding) == tokens + 3 + 3


def test_the_encodings_differ_where_openais_do() -> None:
    counter = TokenCounter()
    text = ["Grüße aus Köln, 東京から"]
    assert counter.count(text, "cl100k_base") != counter.count(text, "o200k_base")


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("auto", "o200k_base"),
        ("openai/gpt-4o@eu", "o200k_base"),
        ("openai/gpt-4.1-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("openai/gpt-4-turbo@us", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("anthropic/claude-sonnet", "o200k_base"),
    ],
)
def test_each_model_has_its_encoding(model: str, encoding: str) -> None:
    assert encoding_for(model) == encoding


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(KeyError):
        TokenCounter().count(["a"], "p50k_base")


def test_everything_that_the_model_reads_is_counted() -> None:
    body = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call-1"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer"}},
    }
    texts = prompt_texts(Request("auto", body))
    assert texts[0] == "look"
    assert [word in "".join(texts) for word in ("call-1", "weather", "answer")] == [True, True, True]
