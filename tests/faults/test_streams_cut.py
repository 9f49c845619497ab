"""Streams while processes die: the worker in the middle of an answer, and the API that its reader is at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.admin.keys import Keys
from synthralos_client import Client, Delta
from tests.faults.harness import Site


@contextmanager
def reader(site: Site, url: str) -> Iterator[Client]:
    secret, _ = Keys(site.database).create("test", Role.SERVICE, Scope("acme", "main", "ann"), plan="pro")
    with Client(url, secret) as client:
        yield client


def streamed(client: Client, site: Site) -> str:
    job_id = client.submit("Count.", model="fake/small", stream=True).id
    site.accepted.append(job_id)
    return job_id


def the_answer(deltas: list[Delta]) -> str:
    """The finished job's."""
    assert deltas[-1].job is not None
    assert deltas[-1].job.text
    return deltas[-1].job.text


def text_of(deltas: list[Delta]) -> str:
    text = ""
    for delta in deltas:
        text = "" if delta.restarted else text + delta.text
    return text


def test_a_worker_killed_in_the_middle_of_a_stream_is_told_and_is_on_the_books(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    doomed = site.worker()
    api = site.api()
    api.ready()
    site.provider.behave(hang=True)
    with reader(site, api.url) as client:
        job_id = streamed(client, site)
        found = client.stream(job_id)
        begun = [next(found)]
        assert begun[0].text == "answer"
        doomed.kill()
        site.provider.behave()
        site.worker()
        deltas = [*begun, *found]
    assert [delta.attempt for delta in deltas if delta.restarted] == [2]
    assert text_of(deltas) == the_answer(deltas)
    site.check_promises()
    assert site.job(job_id).state == State.SUCCEEDED
    assert [(a.outcome, a.billed) for a in site.attempts(job_id)] == [
        (Outcome.LOST, Billed.MAYBE),
        (Outcome.SUCCEEDED, Billed.YES),
    ]


def test_an_api_killed_under_its_reader_is_replaced_by_another(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    site.worker()
    first, second = site.api(), site.api()
    first.ready()
    second.ready()
    site.provider.behave(hang=True)
    with reader(site, first.url) as client:
        job_id = streamed(client, site)
        found = client.stream(job_id)
        begun = [next(found)]
        first.kill()
        site.provider.release()
        found.close()  # type: ignore[attr-defined]  # a generator
    with reader(site, second.url) as client:
        rest = list(client.stream(job_id, last_event_id=begun[-1].id))
    assert not any(delta.restarted for delta in rest)
    assert text_of([*begun, *rest]) == the_answer(rest)
    site.check_promises()
    assert [(a.outcome, a.billed) for a in site.attempts(job_id)] == [(Outcome.SUCCEEDED, Billed.YES)]


def test_an_answer_that_its_provider_cuts_is_counted_and_may_be_billed(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    site.worker()
    api = site.api()
    api.ready()
    site.provider.behave(close="mid_reply", times=1)
    site.provider.behave("small", close="mid_reply", times=1)
    with reader(site, api.url) as client:
        job_id = streamed(client, site)
        deltas = list(client.stream(job_id))
    assert [delta.attempt for delta in deltas if delta.restarted] == [2]
    cut, whole = site.attempts(job_id)
    assert (cut.outcome, cut.billed) == (Outcome.FAILED, Billed.MAYBE)
    assert cut.output_tokens == 1
    assert cut.input_tokens > 0
    assert whole.outcome == Outcome.SUCCEEDED
    site.check_promises()
