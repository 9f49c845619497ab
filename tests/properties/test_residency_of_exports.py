"""Promise 4 where finished jobs leave: no trace, webhook or trigger tells EU data where no residency is declared."""

from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from pipelines.analyze.protocol import Answer, Trace
from synthralos.domain.exports import Destination, Kind, Owed
from synthralos.domain.feed import Item
from synthralos.domain.triggers import NAMES, telling
from synthralos.domain.webhooks import Endpoint, Form, body_of, wants_content
from synthralos.telemetry.families import EXPORTED
from synthralos.telemetry.metrics import Metrics
from tests.fakes.stage_jobs import NOON
from workers.courtesy import Courtesy
from workers.shipping import Parts, Shipper

MARK = "BELONGS IN THE EU"
RESIDENCIES = (None, "eu", "us", "global", "EU", "eu-west")
CLASSES = ("eu", "EU ", "none", None, "secret")
SHIPMENTS, EACH = 500, 50


class Receiver:
    """A destination that takes all."""

    def __init__(self, residency: str | None) -> None:
        self.destination = Destination("one", residency)
        self.got: list[str] = []

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """See `Exporter.ship`."""
        ids = [trace["id"] for trace in traces]
        self.got += ids
        return Answer(ids)

    def close(self) -> None:
        """See `Exporter.close`."""


class Reading:
    """The stored jobs, which are their traces."""

    def __init__(self, jobs: Mapping[str, Mapping[str, Any]]) -> None:
        self._jobs = jobs

    def jobs(self, owed: Sequence[Owed]) -> Mapping[str, Mapping[str, Any]]:
        """By id."""
        return {each.job_id: self._jobs[each.job_id] for each in owed}

    def traces(self, owed: Sequence[Owed], jobs: Mapping[str, Mapping[str, Any]], residency: str | None) -> list[Trace]:
        """One for each, wherever the destination is."""
        return [dict(jobs[each.job_id]) for each in owed]


def belongs(classification: str | None) -> bool:
    return (classification or "").strip().lower() == "eu"


def test_no_shipment_has_a_trace_whose_data_may_not_go_there() -> None:
    rng, withheld, arrived = Random(3), 0, 0
    for _ in range(SHIPMENTS):
        classes = {f"job-{number}": rng.choice(CLASSES) for number in range(EACH)}
        stored = {
            job_id: {"id": job_id, "organization": "acme", "constraints": {} if c is None else {"classification": c}}
            for job_id, c in classes.items()
        }
        receiver = Receiver(rng.choice(RESIDENCIES))
        parts = SimpleNamespace(reading=Reading(stored), counted=Metrics().counters(EXPORTED), courtesy=Courtesy())
        booking = Shipper(cast("Parts", parts), receiver)._shipment([Owed(job_id, 1) for job_id in stored])
        assert all(receiver.destination.residency == "eu" for job_id in receiver.got if belongs(classes[job_id]))
        assert "secret" not in {classes[job_id] for job_id in receiver.got}
        aside = {each.owed.job_id for each in booking.aside if each.kind is Kind.WITHHELD}
        assert aside.isdisjoint(receiver.got)
        assert len(aside) + len(receiver.got) == EACH
        withheld, arrived = withheld + len(aside), arrived + sum(belongs(classes[job_id]) for job_id in receiver.got)
    assert min(withheld, arrived) > 500, (withheld, arrived)


def test_no_webhook_and_no_trigger_tells_eu_data_elsewhere() -> None:
    rng, told, kept = Random(4), 0, 0
    failure = {"class": "server_error", "message": MARK, "provider_code": MARK}
    data = {
        "failure": failure, "message": MARK, "remedy": "wait", "treatment": "wait", "attempts": 1, "model": MARK,
        "lane": "bulk", "deployment": MARK, "failure_class": "server_error", "calls": 1, "reason": MARK,
    }  # fmt: skip
    for _ in range(20_000):
        classification, residency = rng.choice(CLASSES), rng.choice(RESIDENCIES)
        event = Item(
            "id-1", rng.choice(["job.healed", "job.dead_lettered", "job.failed"]), NOON, "acme", MARK, data, "job-1",
            MARK, "main", MARK, None, classification,
        )  # fmt: skip
        endpoint = an_endpoint(residency, rng)
        content = {"request": MARK} if wants_content(endpoint, event) else None
        sent = body_of(endpoint, event, content).decode() + str(telling(event, residency, frozenset(NAMES)))
        if belongs(classification) and residency != "eu":
            kept += 1
            assert MARK not in sent, sent
        told += MARK in sent
    assert min(told, kept) > 500, (told, kept)


def an_endpoint(residency: str | None, rng: Random) -> Endpoint:
    return Endpoint(
        "1", "acme", "https://example.com", content=rng.random() < 0.5, residency=residency, form=rng.choice([*Form])
    )
