"""Webhooks on both databases: what happens arrives signed, at least once, and nobody holds up another."""

import json
import threading
from contextlib import ExitStack
from dataclasses import replace

import openai
import pytest
import sqlalchemy as sa

from synthralos.bus.protocol import Topic
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.feed import Item
from synthralos.domain.jobs import Constraints
from synthralos.domain.observing import LATE
from synthralos.domain.retention import Kind, Retention
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.webhooks import Form, new_secret
from synthralos.store.queue.happenings import tell
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import deliveries, happenings
from tests.conformance.test_store_feed import OTHER, finished, log, opened
from tests.fakes.receivers import ANN, Post, Receiver, receiver
from tests.fakes.scripted_server import DROPPED, Answer, Asked
from tests.fakes.stores import Store

SDK = openai.OpenAI(api_key="unused")


def told(post: Post, *names: str, organization: str | None = "acme") -> None:
    """Breakers opened."""
    with post.store.database.transaction() as connection:
        tell(connection, [opened(name, organization) for name in names])
    post.look()


def digest(post: Post) -> None:
    """Ends of jobs can be read."""
    digesting = Digest(post.store.database)
    digesting.finish()
    while digesting.round(LATE):
        pass
    post.look()


def test_an_event_arrives_signed_so_that_others_verify_it(post: Post, hook: Receiver) -> None:
    made = post.endpoint(hook.url)
    told(post, "small")
    asked = hook.next()
    [secret] = made.endpoint.secrets
    SDK.webhooks.verify_signature(asked.body, asked.headers, secret=secret.secret)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        SDK.webhooks.verify_signature(asked.body + b" ", asked.headers, secret=secret.secret)
    body = asked.json()
    assert (body["type"], body["subject"], body["organization"]) == ("breaker.opened", "small", "acme")
    assert body["id"] == asked.headers["webhook-id"]
    [delivery] = post.until(made, DeliveryState.DELIVERED, 1)
    assert (delivery.tries, delivery.status, delivery.event.id) == (1, 204, body["id"])


def test_the_form_of_openai_is_read_by_its_sdk(post: Post, hook: Receiver) -> None:
    made = post.endpoint(hook.url, form=Form.OPENAI)
    job_id = finished(post.store)
    told(post, "small")
    digest(post)
    asked = hook.next()
    event = SDK.webhooks.unwrap(asked.body, asked.headers, secret=made.endpoint.secrets[0].secret)
    assert event.type == "response.completed"
    assert event.data.id == job_id
    post.until(made, DeliveryState.DELIVERED, 2)
    assert hook.came.empty()


def test_while_a_secret_rotates_both_sign_and_afterwards_the_new_one_alone(post: Post, hook: Receiver) -> None:
    made = post.endpoint(hook.url)
    old, new, newest = made.endpoint.secrets[0].secret, new_secret(), new_secret()
    post.webhooks.rotate(made.endpoint.id, EVERYTHING, new, 3600.0, ANN)
    told(post, "one")
    asked = hook.next()
    assert len(asked.headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        SDK.webhooks.verify_signature(asked.body, asked.headers, secret=secret)
    post.webhooks.rotate(made.endpoint.id, EVERYTHING, newest, 0.0, ANN)
    told(post, "two")
    asked = hook.next()
    SDK.webhooks.verify_signature(asked.body, asked.headers, secret=newest)
    for secret in (old, new):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            SDK.webhooks.verify_signature(asked.body, asked.headers, secret=secret)


def test_each_gets_what_is_its_organizations_and_what_it_asked_for(post: Post) -> None:
    with ExitStack() as stack:
        mine, few, theirs, all_of_it = (stack.enter_context(receiver()) for _ in range(4))
        post.endpoint(mine.url)
        post.endpoint(few.url, types=("job.*",))
        post.endpoint(theirs.url, "other")
        post.endpoint(all_of_it.url, None)
        finished(post.store, tenant=OTHER)
        finished(post.store)
        digest(post)
        told(post, "a")
        told(post, "b", organization=None)
        told(post, "c", organization="other")
        assert sorted(mine.types(2)) == ["breaker.opened", "job.succeeded"]
        assert few.types(1) == ["job.succeeded"]
        assert sorted(theirs.types(2)) == ["breaker.opened", "job.succeeded"]
        assert sorted(all_of_it.types(5)) == ["breaker.opened"] * 3 + ["job.succeeded"] * 2
        assert all(each.came.empty() for each in (mine, few, theirs, all_of_it))


@pytest.mark.parametrize(
    "answer",
    [Answer(500, {"no": 1}), Answer(301, b"", {"Location": "http://127.0.0.1/"}), DROPPED, Answer(400, {})],
)
def test_what_is_not_taken_comes_again_under_the_same_id(
    post: Post, hook: Receiver, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr("synthralos.domain.backoff.Backoff.seconds", lambda *_: 0.01)
    answers = [answer, answer]
    hook.answer = lambda asked: answers.pop() if answers else Answer(200, {"thanks": True})
    made = post.endpoint(hook.url)
    told(post, "small")
    ids = {hook.next().headers["webhook-id"] for _ in range(3)}
    assert len(ids) == 1
    [delivery] = post.until(made, DeliveryState.DELIVERED, 1)
    assert (delivery.tries, delivery.status, delivery.answer) == (3, 200, '{"thanks": true}')
    assert hook.came.empty()
    assert post.now(made).failures == 0


def test_a_pause_that_was_asked_for_is_kept(post: Post, hook: Receiver) -> None:
    hook.answer = lambda asked: Answer(429, {}, {"Retry-After": "900"})
    made = post.endpoint(hook.url)
    told(post, "small")
    hook.next()
    [delivery] = post.tried(made)
    assert delivery.next_at is not None
    assert delivery.last_at is not None
    assert 895 < (delivery.next_at - delivery.last_at).total_seconds() < 905
    assert (delivery.reason, delivery.status) == ("it answered 429", 429)


def test_410_disables_the_endpoint_and_it_is_told(post: Post, hook: Receiver) -> None:
    hook.answer = lambda asked: Answer(410, {})
    made = post.endpoint(hook.url)
    told(post, "small")
    hook.next()
    post.until(made, DeliveryState.SET_ASIDE, 1)
    post.eventually(lambda: not post.now(made).endpoint.enabled)
    assert "410" in (post.now(made).endpoint.disabled_because or "")
    with post.store.database.snapshot() as connection:
        kinds = set(connection.execute(sa.select(happenings.c.kind)).scalars())
    assert kinds == {"breaker.opened", "delivery.set_aside", "webhook.disabled"}


def test_what_is_not_taken_for_three_days_is_set_aside_and_told(post: Post, hook: Receiver) -> None:
    let = threading.Event()

    def refuse_late(asked: Asked) -> Answer:
        let.wait(30)
        return Answer(500, {})

    hook.answer = refuse_late
    made = post.endpoint(hook.url)
    told(post, "small")
    hook.next()
    with post.store.database.transaction() as connection:
        connection.execute(sa.update(deliveries).values(since=utc_in(sa.literal(-3 * 86_400.0 - 60))))
    let.set()
    [delivery] = post.until(made, DeliveryState.SET_ASIDE, 1)
    assert delivery.reason == "it answered 500"


def test_failures_in_a_row_disable_it_and_enabling_goes_on_where_it_stopped(
    store: Store, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthralos.domain.backoff.Backoff.seconds", lambda *_: 0.01)
    hook.answer = lambda asked: Answer(500, {})
    with Post(store, disable_after=3).running() as post:
        made = post.endpoint(hook.url)
        told(post, "one")
        for _ in range(3):
            hook.next()
        post.eventually(lambda: not post.now(made).endpoint.enabled)
        assert "3 tries" in (post.now(made).endpoint.disabled_because or "")
        told(post, "two")
        hook.answer = lambda asked: Answer(200, {})
        post.webhooks.replace(replace(post.now(made).endpoint, enabled=True, disabled_because=None), ANN)
        post.look()
        subjects = [json.loads(hook.next().body)["subject"] for _ in range(2)]
        assert sorted(subjects) == ["one", "two"]


def test_data_of_the_eu_goes_bare_where_no_residency_is_declared(post: Post) -> None:
    with receiver() as undeclared, receiver() as declared:
        post.endpoint(undeclared.url, content=True)
        post.endpoint(declared.url, content=True, residency="eu")
        job_id = finished(post.store, text="CANARY-7", constraints=Constraints(classification="eu"))
        with post.store.database.transaction() as connection:
            log(connection, job_id, 77_123)
        digest(post)
        bare = {each["type"]: each for each in (undeclared.next().json() for _ in range(2))}
        whole = {each["type"]: each for each in (declared.next().json() for _ in range(2))}
    assert bare["job.succeeded"]["data"] == {"state": "succeeded"}
    assert bare["job.thought"]["data"] == {}
    assert bare["job.succeeded"]["job_id"] == job_id
    assert "CANARY-7" in json.dumps(whole["job.succeeded"]["data"]["content"]["request"])
    assert whole["job.succeeded"]["data"]["content"]["result"] == {"text": "Paris"}
    assert whole["job.thought"]["data"] == {"text": "77123"}


def test_what_people_and_models_wrote_goes_to_nobody_who_did_not_ask(post: Post, hook: Receiver) -> None:
    post.endpoint(hook.url)
    job_id = finished(post.store, text="CANARY-7")
    with post.store.database.transaction() as connection:
        log(connection, job_id, 77_123)
    digest(post)
    sent = b"".join(hook.next().body for _ in range(2))
    assert b"CANARY" not in sent
    assert b"77123" not in sent
    assert b"Paris" not in sent
    assert job_id.encode() in sent


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/hook", "http://localhost:{}/hook", "http://2130706433:{}/hook"])
def test_private_addresses_are_not_called_whatever_their_name(store: Store, hook: Receiver, url: str) -> None:
    port = hook.url.rpartition(":")[2].partition("/")[0]
    with Post(store, allowed=()).running() as post:
        made = post.endpoint(url.format(port))
        told(post, "small")
        [delivery] = post.tried(made)
        assert "private" in (delivery.reason or "")
    assert hook.came.empty()


def test_an_event_that_was_delivered_can_be_sent_again(post: Post, hook: Receiver) -> None:
    made = post.endpoint(hook.url)
    told(post, "small")
    first = hook.next().headers["webhook-id"]
    [delivery] = post.until(made, DeliveryState.DELIVERED, 1)
    post.webhooks.retry(made.endpoint, delivery.id, ANN)
    post.bus.publish(Topic.FEED, [made.endpoint.id])
    assert hook.next().headers["webhook-id"] == first
    assert isinstance(delivery.event, Item)


def test_what_nobody_waits_for_is_forgotten_after_its_time(post: Post, hook: Receiver) -> None:
    taken, refused = post.endpoint(hook.url), post.endpoint("http://127.0.0.1:1/")
    told(post, "small")
    post.until(taken, DeliveryState.DELIVERED, 1)
    post.tried(refused)
    keeping, usual, not_at_all = Keeping(post.store.database), Retention(), Retention(dict.fromkeys(Kind, -1.0))
    assert keeping.step(Kind.DELIVERIES, usual, 10).removed == 0
    assert keeping.step(Kind.DELIVERIES, not_at_all, 10).removed == 1
    assert post.deliveries(taken) == []
    assert [each.state for each in post.deliveries(refused)] == ["pending"]
