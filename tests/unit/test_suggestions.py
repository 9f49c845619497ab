import time

from pipelines.suggestions import Names

NAMES = Names(["openai/gpt-5-mini@us", "openai/gpt-5@eu", "anthropic/claude-haiku@us", "auto"])


def test_the_name_that_was_meant_comes_first() -> None:
    assert NAMES.near("openai/gpt5-mini@us")[0] == "openai/gpt-5-mini@us"
    assert NAMES.near("Anthropic/claude-haiku")[0] == "anthropic/claude-haiku@us"
    assert NAMES.near("atuo") == ["auto"]


def test_what_is_like_nothing_has_no_suggestion() -> None:
    assert NAMES.near("xyzzy") == []
    assert NAMES.near("") == []


def test_a_suggestion_is_cheap_whatever_was_sent_and_however_many_names_there_are() -> None:
    many = Names(f"provider-{n}/a-model-with-a-long-name-{n}@region-{n % 7}" for n in range(1000))
    began = time.process_time()
    for n in range(100):
        assert many.near(f"provider/{n}" + "a-model-with-a-long-name-" * 8)
    assert time.process_time() - began < 1.5
