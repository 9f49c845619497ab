"""What policies demand of answers, ready to be asked. An answer that does not pass was paid for all the same."""

from collections.abc import Callable, Iterator
from functools import lru_cache

from pipelines.policies.patterns import searcher
from pipelines.providers.protocol import CheckText
from synthralos.domain.output_checks import OutputCheck

_KEPT = 256
"""Sets of checks that are kept compiled: there are as many as there are rules with checks, and combinations of them."""


@lru_cache(maxsize=_KEPT)
def check_of(checks: tuple[OutputCheck, ...]) -> CheckText:
    """What says why a text does not pass, of the first check that it does not pass; None where it passes all."""
    found = [(each.reason, test) for each in checks for test in _tests(each)]

    def check(text: str) -> str | None:
        for reason, test in found:
            problem = test(text)
            if problem is not None:
                return f"a policy does not take the answer: {reason or problem}"
        return None

    return check


def _tests(check: OutputCheck) -> Iterator[Callable[[str], str | None]]:
    least, most = check.min_characters, check.max_characters
    if least is not None or most is not None:
        yield lambda text: _length(len(text), least or 0, most)
    if check.must_match is not None:
        wanted, is_in = check.must_match, searcher(check.must_match)
        yield lambda text: None if is_in(text) else f"it does not match {wanted}"
    if check.must_not_match is not None:
        unwanted, found_in = check.must_not_match, searcher(check.must_not_match)
        yield lambda text: f"it matches {unwanted}" if found_in(text) else None


def _length(length: int, least: int, most: int | None) -> str | None:
    if length < least:
        return f"it has {length} characters, and needs {least}"
    if most is not None and length > most:
        return f"it has {length} characters, and may have {most}"
    return None
