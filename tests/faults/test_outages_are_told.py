"""What operators read while a server is away: lines of JSON, a few for each outage, with the reason and the remedy."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pika

from synthralos.broker.queues import queue_name
from synthralos.domain.states import Lane, Stage
from tests.fakes.broker_sites import rabbitmq_vhost
from tests.faults.harness import NAMESPACE, Site
from tests.faults.harness_processes import Api, Process
from tests.faults.harness_servers import postgresql

PROBES = 20
"""Requests of a load balancer while the database is away."""


def lines(process: Process) -> list[dict[str, Any]]:
    """All that the process has logged. Each line is JSON, but for the one in which the API says where it listens."""
    text = process.log.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in whole if not line.startswith("SynthralOS API on ")]


def outages(process: Process, subject: str) -> list[dict[str, Any]]:
    return [line for line in lines(process) if line.get("outage") == subject]


def readiness(api: Api) -> int:
    return httpx.get(f"{api.url}/health/ready", timeout=30).status_code


def test_a_database_that_goes_and_comes_is_told_twice_by_each_process(make_site: Callable[..., Site]) -> None:
    with postgresql() as cluster:
        site = make_site(database_url=cluster.url)
        scheduler, worker, api = site.scheduler(), site.worker(), site.api()
        api.ready()
        site.submit(5)
        site.check_promises()
        cluster.stop()
        for process in (scheduler, worker):
            site.eventually(lambda p=process: outages(p, "database"), f"{process.name} tells it")
        assert {readiness(api) for _ in range(PROBES)} == {503}
        cluster.start()
        site.submit(5)
        site.check_promises()
        site.eventually(lambda: readiness(api) == 200, "the API is ready")
        for process in (scheduler, worker, api):
            site.eventually(lambda p=process: len(outages(p, "database")) >= 2, f"{process.name} tells the end")
            away, back = outages(process, "database")
            assert away["reason"], away
            assert away["remedy"], away
            assert "works again" in back["event"], back
            assert [line for line in lines(process) if "exception" in line] == []


def test_queues_of_another_type_are_told_once_each_with_the_remedy(make_site: Callable[..., Site]) -> None:
    with rabbitmq_vhost() as url:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare(queue_name(NAMESPACE, Stage.GUARD, Lane.BULK), durable=True)
        site = make_site(broker_url=url)
        worker = site.worker()
        subject = f"broker queue {queue_name(NAMESPACE, Stage.GUARD, Lane.BULK)}"
        [told] = site.eventually(lambda: outages(worker, subject), "the worker tells it")
        assert "BROKER_NAMESPACE" in told["remedy"]
        site.submit(20, lane=Lane.INTERACTIVE)  # whose queues are as they should be
        site.check_promises()
        said = [line for line in lines(worker) if line["level"] in ("warning", "error", "critical")]
        assert [line.get("outage") for line in said] == [subject]
