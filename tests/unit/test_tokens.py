import json
import subprocess
import sys
from pathlib import Path

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
    assert measure(["a\ud800"]) == (2, 4, 1, 0)
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
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call-1"}], "refusal": "cannot"},
            {"role": "user", "content": "", "name": "anna"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer"}},
        "tool_choice": {"type": "function", "function": {"name": "chosen"}},
        "stop": ["ending"],
    }
    options = {"openai": {"prediction": {"content": "expected"}}, "sandbox": {"text": "order"}}
    texts = prompt_texts(Request("auto", body, options))
    assert texts[0] == "look"
    read = ("call-1", "weather", "answer", "cannot", "anna", "chosen", "ending", "expected")
    assert [word for word in read if word not in "".join(texts)] == []
    assert "order" not in "".join(texts)
    assert prompt_texts(Request("auto", {"messages": [], "stop": "end"})) == ["end"]


# Made with tiktoken 0.14, whose vocabularies have the checksums that it asks for: [text, cl100k_base, o200k_base].
TIKTOKEN = json.loads((Path(__file__).parent / "tiktoken_counts.json").read_text())

MEGABYTE = 1_000_000

LONG_RUNS = {
    "a": ("a" * MEGABYTE, 125_000, 125_000),
    "spaces": (" " * MEGABYTE, 7_813, 7_813),
    "tabs": ("\t " * (MEGABYTE // 2), 500_000, 500_000),
    "line ends": ("\n" * MEGABYTE, 31_250, 62_500),
    "digits": ("7" * MEGABYTE, 333_334, 333_334),
    "dashes": ("-" * MEGABYTE, 15_625, 15_625),
    "quotes": ("'" * MEGABYTE, 500_000, 250_000),
    "emoji": ("😀" * (MEGABYTE // 4), 500_000, 250_000),
}
"""Each is one word to a byte-level encoding: where others are quadratic, overflow their stack or end the process."""


@pytest.mark.parametrize(("text", "cl100k", "o200k"), TIKTOKEN)
def test_counts_are_those_of_tiktoken(text: str, cl100k: int, o200k: int) -> None:
    counter = TokenCounter()
    assert counter.count([text], "cl100k_base") == cl100k + 3 + 3
    assert counter.count([text], "o200k_base") == o200k + 3 + 3


@pytest.mark.parametrize("name", LONG_RUNS)
def test_a_megabyte_of_the_same_is_counted_like_any_text(name: str) -> None:
    text, cl100k, o200k = LONG_RUNS[name]
    counter = TokenCounter()
    assert counter.count([text], "cl100k_base") == cl100k + 3 + 3
    assert counter.count([text], "o200k_base") == o200k + 3 + 3


def test_counting_opens_neither_a_connection_nor_a_file_of_a_vocabulary() -> None:
    code = """if True:
        import sys
        from pipelines.tokens import TokenCounter
        asked = []
        sys.addaudithook(lambda event, args: asked.append(event) if event.startswith(("socket.", "open")) else None)
        assert TokenCounter().count(["hello world"]) == 8
        assert asked == [], asked
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
