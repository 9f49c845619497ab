"""Matches of rules on their way to the database: nothing is lost where it is away, nothing is written for nothing."""

from collections.abc import Mapping

from pipelines.flow.rule_counts import RuleCounts, RuleId
from synthralos.domain.findings import Decision
from synthralos.domain.policies import UNRULED, Reason, Ruling
from synthralos.store.sql.errors import StoreUnavailable
from workers.rule_matches import RuleMatches


def ruling(*rules: str) -> Ruling:
    return Ruling(Decision.FLAG, tuple(Reason("set", "ours", 1, rule, Decision.FLAG, "seen") for rule in rules))


def test_what_cannot_be_written_is_written_the_next_time() -> None:
    written, away = list[Mapping[RuleId, int]](), [True]

    def add(taken: Mapping[RuleId, int]) -> None:
        if away[0]:
            raise StoreUnavailable("away")
        written.append(dict(taken))

    matches = RuleMatches(add)
    matches.counts.note(ruling("a", "b"))
    matches.write()
    away[0] = False
    matches.counts.note(ruling("a"))
    matches.write()
    matches.write()
    assert written == [{("set", "a"): 2, ("set", "b"): 1}]


def test_shadows_count_and_nothing_is_nothing() -> None:
    counts = RuleCounts()
    counts.note(UNRULED)
    assert counts.take() == {}
    counts.note(Ruling(Decision.ALLOW, shadows=(ruling("a"),)))
    assert counts.take() == {("set", "a"): 1}
    assert counts.take() == {}
