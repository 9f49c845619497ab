"""Similar prompts: what is found again, where, for how long, and what is done about it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.guard.similar_prompts import SimilarPromptsGuard
from pipelines.guard.stage import GuardStage
from pipelines.repeats.memory import AWAY_SECONDS, REFRESH_SECONDS, PromptMemory
from pipelines.repeats.texts import request_key
from pipelines.repeats.window import Seen, Window, packed
from synthralos.config.config import GuardActions, SimilarAction
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Constraints, Job, Tenant
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted
from tests.fakes.prompts import Clock, StoredPrompts, WordLikeness, a_memory
from tests.fakes.stage_jobs import a_job
from tests.fakes.stages import a_config

LIKE = WordLikeness()


def found(memory: PromptMemory, *jobs: Job, action: SimilarAction = "flag", after: int = 3) -> list[Finding | None]:
    config = a_config(Catalog([]), guards=GuardActions(similar_prompts=action, similar_deny_after=after))
    return SimilarPromptsGuard(config, memory).inspect(list(jobs))


def of(organization: str, text: str = "Name three rivers of Europe") -> Job:
    job = a_job(text)
    job.tenant = Tenant(organization)
    return job


def stored(source: StoredPrompts, text: str, at: float, organization: str = "acme", embedder: str = "words") -> str:
    job = of(organization, text)
    vector = packed(LIKE.vectors([text])[0])
    source.prompts.append(EarlierPrompt(job.id, organization, "default", LIKE.fingerprint(text), embedder, vector, at))
    source.texts[job.id] = text
    return job.id


def matches(finding: Finding | None) -> list[str]:
    assert finding is not None
    return [match["job_id"] for match in finding.signals["matches"]]


def test_the_same_prompt_is_found_again_and_a_new_one_is_not() -> None:
    memory = a_memory()
    first, again, other = of("acme"), of("acme", " name THREE rivers of europe"), of("acme", "Bake a cake")
    assert found(memory, first) == [None]
    [finding, nothing] = found(memory, again, other)
    assert matches(finding) == [first.id]
    assert finding is not None
    assert (finding.decision, finding.signals["repeats"]) == (Decision.FLAG, 1)
    assert finding.signals["matches"][0] == {"job_id": first.id, "score": 1.0, "exact": True}
    assert nothing is None


def test_near_duplicates_are_compared_by_their_texts() -> None:
    source = StoredPrompts()
    memory = a_memory(source)
    near = stored(source, "Name three rivers of Europe please", 999_999.0)
    [finding] = found(memory, of("acme"))
    assert finding is not None
    assert finding.signals["matches"] == [{"job_id": near, "score": 0.8333, "exact": False}]
    assert found(memory, of("acme", "Name three rivers in Asia with maps")) == [None]


def test_prompts_of_one_batch_know_those_before_them() -> None:
    batch = [of("acme"), of("acme"), of("acme", "Name three rivers of Europe please"), of("acme", "Sing")]
    one, two, three, four = found(a_memory(), *batch)
    assert (one, four) == (None, None)
    assert matches(two) == [batch[0].id]
    assert set(matches(three)) == {batch[0].id, batch[1].id}


def test_vectors_of_another_embedder_are_not_compared_with() -> None:
    source = StoredPrompts()
    stored(source, "Name three rivers of Europe", 999_999.0, embedder="older")
    assert found(a_memory(source), of("acme")) == [None]


def test_no_tenant_sees_another_ones_prompts() -> None:
    source = StoredPrompts()
    stored(source, "Name three rivers of Europe", 999_999.0, "other")
    memory = a_memory(source)
    elsewhere = of("acme")
    elsewhere.tenant = Tenant("acme", "elsewhere")
    assert found(memory, of("acme"), of("third"), elsewhere) == [None, None, None]


def test_what_others_stored_is_seen_after_a_moment_and_only_once() -> None:
    source, clock = StoredPrompts(), Clock()
    memory = a_memory(source, clock=clock)
    found(memory, of("acme", "Hello"))
    theirs = stored(source, "Name three rivers of Europe", clock.now)
    assert found(memory, of("acme", "Bake")) == [None]
    for _ in range(3):
        clock.now += REFRESH_SECONDS
        [finding] = found(memory, of("acme"))
    assert theirs in matches(finding)
    assert finding is not None
    assert finding.signals["repeats"] == 3


def test_prompts_are_forgotten_with_time() -> None:
    clock = Clock()
    memory = a_memory(clock=clock, seconds=60)
    found(memory, of("acme"))
    clock.now += 59
    assert found(memory, of("acme")) != [None]
    clock.now += 120
    assert found(memory, of("acme")) == [None]


def test_prompts_without_text_are_like_no_other() -> None:
    memory = a_memory()
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    jobs = [a_job(body={"messages": [{"role": "user", "content": content}]}) for content in ("", " ", image, image)]
    assert found(memory, *jobs) == [None] * 4
    assert memory.compared(jobs[0].id) is None


def test_a_job_that_comes_again_is_no_repeat_of_itself() -> None:
    memory, job = a_memory(), of("acme")
    assert found(memory, job) == found(memory, job) == [None]


@pytest.mark.parametrize(
    ("action", "decisions"),
    [
        ("log", [Decision.ALLOW, Decision.ALLOW, Decision.ALLOW]),
        ("flag", [Decision.FLAG, Decision.FLAG, Decision.FLAG]),
        ("deny", [Decision.FLAG, Decision.FLAG, Decision.DENY]),
    ],
)
def test_what_is_done_is_a_setting(action: SimilarAction, decisions: list[Decision]) -> None:
    memory = a_memory()
    findings = [found(memory, of("acme"), action=action, after=2)[0] for _ in range(4)]
    assert [f and f.decision for f in findings] == [None, *decisions]


def test_a_store_that_is_away_stops_nobody_and_is_not_asked_all_the_time() -> None:
    source, clock = StoredPrompts(), Clock()
    source.away = True
    memory = a_memory(source, clock=clock)
    first = of("acme")
    assert found(memory, first, of("other")) == [None, None]
    assert matches(found(memory, of("acme"))[0]) == [first.id]
    assert source.asked == 1
    source.away = False
    theirs = stored(source, "Name three rivers of Europe", clock.now)
    clock.now += AWAY_SECONDS
    assert theirs in matches(found(memory, of("acme"))[0])


def reusing(**more: Any) -> Job:
    job = a_job("Name three rivers", constraints=Constraints(reuse="allow", **more))
    job.tenant = Tenant("acme")
    return job


def wanted(job: Job) -> Wanted:
    return Wanted(job.tenant.organization, job.tenant.workspace, request_key(job))


def test_an_earlier_result_answers_an_equal_request_that_allows_it() -> None:
    source, job = StoredPrompts(), reusing()
    source.answers[wanted(job)] = Answered("earlier", {"text": "Rhine", "usage": {"input": 1}})
    memory = a_memory(source)
    [finding] = found(memory, job)
    assert finding is not None
    assert (finding.decision, finding.signals["job_id"]) == (Decision.REUSE, "earlier")
    assert memory.reused(job.id) == {"text": "Rhine", "usage": None, "reused_from": "earlier"}
    assert memory.reused(job.id) is None
    never = a_job("Name three rivers")
    never.tenant = Tenant("acme")
    assert found(memory, never)[0] is None or found(memory, never)[0].decision is not Decision.REUSE  # type: ignore[union-attr]


def test_requests_are_equal_only_if_everything_is() -> None:
    job = reusing()
    others = [
        reusing(classification="eu"),
        reusing(private_data="redact"),
        replace_request(job, temperature=0.5),
        replace_request(job, messages=[{"role": "user", "content": "Name three river"}]),
    ]
    assert len({request_key(each) for each in [job, *others]}) == 5
    assert request_key(reusing()) == request_key(job)


def replace_request(job: Job, **body: Any) -> Job:
    return replace(job, request=replace(job.request, body={**job.request.body, **body}))


def test_what_is_kept_of_a_prompt_is_handed_out_once() -> None:
    memory, job = a_memory(), of("acme")
    found(memory, job)
    kept = memory.compared(job.id)
    assert kept is not None
    assert (kept.fingerprint, kept.matches) == (LIKE.fingerprint("name three rivers of europe"), ())
    assert memory.compared(job.id) is None


def test_with_the_flag_off_nothing_is_looked_at() -> None:
    source = StoredPrompts()
    memory = a_memory(source)
    config = a_config(Catalog([]), Flag.ENABLE_SIMILARITY_LOGGING)
    guard = SimilarPromptsGuard(config, memory)
    assert guard.inspect([of("acme"), reusing()]) == [None, None]
    assert source.asked == 0


def test_a_denied_job_is_not_answered_from_an_earlier_result() -> None:
    class Denies:
        name = "denies"

        def inspect(self, jobs: list[Job]) -> list[Finding | None]:
            return [Finding("denies", Decision.DENY, "no") for _ in jobs]

    source, job = StoredPrompts(), reusing()
    source.answers[wanted(job)] = Answered("earlier", {"text": "Rhine"})
    guard = SimilarPromptsGuard(a_config(Catalog([])), a_memory(source))
    [verdict] = GuardStage([guard, Denies()]).inspect([job])  # type: ignore[list-item]
    assert verdict.decision is Decision.DENY


def test_a_window_keeps_the_newest_and_finds_the_nearest() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    window = Window(200, 1e6)
    for number, vector in enumerate(vectors):
        window.add([Seen(f"job{number}", f"{number % 7:032x}", "words", packed(vector), float(number))])
    assert len(window) == 200
    nearest = window.nearest("words", vectors, 1, 0.9)
    assert nearest[:300] == [[]] * 300
    assert [found[0].job_id for found in nearest[300:]] == [f"job{number}" for number in range(300, 500)]
    thirds = [f"job{n}" for n in range(499, 299, -1) if n % 7 == 3]
    assert window.equal(f"{3:032x}", "job0") == (thirds[:4], len(thirds))
    assert window.equal(f"{3:032x}", thirds[0]) == (thirds[1:4], len(thirds) - 1)
    window.forget_before(499.0)
    assert [len(found) for found in window.nearest("words", vectors[498:], 1, 0.9)] == [0, 1]
    assert window.equal(f"{3:032x}", "") == ([], 0)


def test_a_window_compares_vectors_of_one_embedder_and_finds_equal_prompts_of_all() -> None:
    window, here = Window(10, 1e6), np.ones(4, np.float32) / 2
    other, longer = np.float32([1, 0, 0, 0]), np.ones(16, np.float32) / 4
    rows = [("a", "one", here), ("b", "two", here), ("c", "one", other), ("d", "one", longer)]
    window.add(Seen(job, "same", embedder, packed(vector), 1.0) for job, embedder, vector in rows)
    assert [near.job_id for near in window.nearest("one", here[None], 3, 0.9)[0]] == ["a"]
    assert [near.job_id for near in window.nearest("two", here[None], 3, 0.9)[0]] == ["b"]
    assert window.nearest("three", here[None], 3, 0.9) == window.nearest("one", longer[None], 3, 0.9) == [[]]
    assert window.equal("same", "") == (["d", "c", "b", "a"], 4)


def test_prompts_from_one_template_are_not_all_compared_closely() -> None:
    memory = a_memory()
    batch = [of("acme", "one two three four five six seven " * 200 + f"number {number}") for number in range(64)]
    compared = sum(len(matches(each)) for each in found(memory, *batch) if each is not None)
    assert 0 < compared < 64
