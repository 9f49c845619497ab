"""kill -9 whoever ships: nothing is lost, and nothing is twice in the destination's own id space."""

import threading
from collections.abc import Callable

import pytest

from tests.fakes.exports import OK, Langfuse, decoded
from tests.fakes.scripted_server import Answer, Asked, scripted_server
from tests.fakes.stores import Store
from tests.faults.harness import Site


@pytest.mark.parametrize("arrived", [False, True], ids=["before it arrived", "after it arrived"])
def test_a_worker_killed_while_it_ships_loses_and_doubles_nothing(
    make_site: Callable[..., Site], *, arrived: bool
) -> None:
    with scripted_server() as server:
        langfuse = Langfuse(server)
        keys = {"langfuse_host": server.url, "langfuse_public_key": "pk-lf", "langfuse_secret_key": "sk-lf-secret"}
        site = make_site(**keys)
        came, let_go = threading.Event(), threading.Event()

        def hold(asked: Asked) -> Answer | None:
            if not asked.path.endswith("/v1/traces"):
                return None
            if arrived:
                langfuse.take(decoded(asked))
            came.set()
            let_go.wait(60)
            return OK

        langfuse.judge = hold
        site.scheduler()
        doomed = site.worker()
        job_ids = site.submit(30)
        assert came.wait(60)
        doomed.kill()
        langfuse.judge = lambda asked: None
        let_go.set()
        store = Store(site.database)
        store.let_exports_come_due()  # what the dead worker had comes back when its lease is over
        site.worker()
        site.check_promises()
        site.eventually(lambda: not store.owed("langfuse"), "nothing is owed")
        assert sorted(set(langfuse.jobs())) == sorted(job_ids)
        assert len([span for span in langfuse.spans.values() if span.name == "job"]) == len(job_ids)


def test_when_an_exporter_is_killed_another_ships_and_the_workers_never_do(make_site: Callable[..., Site]) -> None:
    with scripted_server() as server:
        langfuse = Langfuse(server)
        keys = {"langfuse_host": server.url, "langfuse_public_key": "pk-lf", "langfuse_secret_key": "sk-lf-secret"}
        site = make_site(**keys, export_by="exporters")
        came, let_go = threading.Event(), threading.Event()

        def hold(asked: Asked) -> Answer | None:
            if asked.path.endswith("/v1/traces"):
                came.set()
                let_go.wait(60)
                return OK
            return None

        langfuse.judge = hold
        store = Store(site.database)
        site.scheduler()
        site.worker()
        job_ids = site.submit(30)
        site.eventually(lambda: store.owed("langfuse") == sorted(job_ids), "all are owed, as no worker ships")
        doomed = site.exporter()
        assert came.wait(60)
        other = site.exporter()
        other.row()
        doomed.kill()
        langfuse.judge = lambda asked: None
        let_go.set()
        store.let_exports_come_due()  # what the dead one had comes back when its lease is over
        site.eventually(lambda: not store.owed("langfuse"), "nothing is owed")
        assert sorted(set(langfuse.jobs())) == sorted(job_ids)
        more = site.submit(3)
        site.eventually(lambda: set(langfuse.jobs()) == {*job_ids, *more}, "what ends later arrives too")
        assert other.terminate() == 0
