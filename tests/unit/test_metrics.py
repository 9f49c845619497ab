"""The metrics of a process: a registry of its own, figures that are read on asking, and a port."""

import re
import socket
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from synthralos.domain.attempts import Outcome
from synthralos.domain.states import Lane, Stage, State, Transition
from synthralos.domain.writes import Settlement, Written
from synthralos.telemetry import families
from synthralos.telemetry.families import FAMILIES, Kind
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.serving import MetricsPort, PortTaken, check_ports
from synthralos.telemetry.writes import JobCounts, measured
from tests.fakes.jobs import attempt_end, deployment
from tests.fakes.ports import free_port, free_ports
from tests.fakes.stage_jobs import a_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"synthralos_{name}", labels)


def test_each_family_has_a_name_of_its_own_and_no_label_that_grows_with_use() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"synthralos_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert bool(family.buckets) == (family.kind is Kind.HISTOGRAM)
        assert not {"organization", "workspace", "user", "tenant", "job_id", "key", "path"} & set(family.labels)


def test_two_processes_in_one_do_not_share_a_figure() -> None:
    one, other = Metrics(), Metrics()
    one.counter(families.ACCEPTED).labels(Lane.BULK).inc()
    assert value(one, "jobs_accepted_total", lane="bulk") == 1
    assert value(other, "jobs_accepted_total", lane="bulk") is None


def test_several_may_read_one_family_and_one_that_fails_hides_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.reads(families.SLOTS, lambda: {("used",): 3})
    metrics.reads(families.SLOTS, lambda: {("most",): 5})
    metrics.reads(families.IN_FLIGHT, lambda: 1 // 0)
    metrics.reads(families.DOORBELL_MESSAGES, lambda: 7)
    assert (value(metrics, "slots", state="used"), value(metrics, "slots", state="most")) == (3, 5)
    assert value(metrics, "doorbell_messages_total") == 7
    assert value(metrics, "calls_in_flight") is None
    assert "synthralos_calls_in_flight" in caplog.text


def test_a_flush_is_timed_with_its_size_and_a_failure_is_counted() -> None:
    metrics = Metrics()

    def flush(items: object) -> list[int]:
        if not items:
            raise ValueError
        return [1, 2, 3]

    timed = measured(metrics, "accept", flush)
    assert timed(["a", "b", "c"]) == [1, 2, 3]
    with pytest.raises(ValueError, match=r"^$"):
        timed([])
    assert value(metrics, "commit_items_sum", commit="accept") == 3
    assert value(metrics, "commit_seconds_count", commit="accept") == 1
    assert value(metrics, "commit_failures_total", commit="accept") == 1


def settled(transition: Transition, **more: object) -> Settlement:
    job = a_job()
    job.stage, job.created_at = Stage.EXECUTE, NOW - timedelta(seconds=3)
    return Settlement(job, transition, Stage.ANALYZE, deployment=deployment(), **more)  # type: ignore[arg-type]


def test_a_batch_of_settlements_is_counted_as_the_books_have_it() -> None:
    metrics = Metrics()
    counts = JobCounts(metrics, lambda: NOW)
    good, bad = attempt_end(1), attempt_end(1, Outcome.FAILED, usage=None, cost=None)
    counts.settled(
        [
            settled(Transition.SUCCEED, attempt=good),
            settled(Transition.SUCCEED, attempt=good),
            settled(Transition.FAIL, attempt=bad),
            settled(Transition.PARK),
            settled(Transition.SUCCEED, attempt=good),
        ],
        [Written.DONE, Written.DONE, Written.DONE, Written.DONE, Written.CLAIM_LOST],
    )
    where = {"provider": deployment().provider, "deployment": deployment().id}
    assert value(metrics, "jobs_ended_total", lane="bulk", state="succeeded") == 2
    assert value(metrics, "jobs_ended_total", lane="bulk", state="failed") == 1
    assert value(metrics, "jobs_settled_total", stage="execute", lane="bulk", transition="park") == 1
    assert value(metrics, "job_seconds_sum", lane="bulk") == 9
    assert value(metrics, "claims_lost_total") == 1
    assert value(metrics, "attempts_total", **where, outcome="succeeded", failure="") == 3
    assert value(metrics, "attempts_total", **where, outcome="failed", failure="server_error") == 1
    assert value(metrics, "attempts_unpriced_total", **where) == 1
    assert good.usage is not None
    assert good.cost is not None
    assert value(metrics, "tokens_total", **where, kind="output") == 3 * good.usage.output
    assert Decimal(str(value(metrics, "cost_usd_total", **where))) == 3 * good.cost


def test_jobs_that_are_accepted_or_cancelled_are_counted_by_lane() -> None:
    metrics = Metrics()
    counts = JobCounts(metrics, lambda: NOW)
    counts.accepted([Lane.BULK, Lane.INTERACTIVE, Lane.BULK])
    counts.ended(Lane.BULK, State.CANCELLED)
    assert value(metrics, "jobs_accepted_total", lane="bulk") == 2
    assert value(metrics, "jobs_ended_total", lane="bulk", state="cancelled") == 1


def test_what_is_shown_is_read_by_prometheus_in_both_of_its_formats() -> None:
    metrics = Metrics()
    metrics.describe("worker")
    metrics.counter(families.ACCEPTED).labels(Lane.BULK).inc(2)
    body, content_type = metrics.render()
    found = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert content_type.startswith("text/plain")
    assert found["synthralos_jobs_accepted"].samples[0].value == 2
    assert found["synthralos_build_info"].samples[0].labels["process"] == "worker"
    assert "process_start_time_seconds" in found
    assert b"# EOF" in metrics.render("application/openmetrics-text; version=1.0.0")[0]


def test_processes_that_start_together_take_a_port_each_and_one_too_many_is_told() -> None:
    ports = free_ports(2)
    with closing(MetricsPort(Metrics(), "127.0.0.1", ports)) as one:
        with closing(MetricsPort(Metrics(), "127.0.0.1", ports)) as other:
            assert {one.port, other.port} == set(ports)
            with pytest.raises(PortTaken, match=f"{ports[0]}"):
                MetricsPort(Metrics(), "127.0.0.1", ports)
            with urllib.request.urlopen(f"http://127.0.0.1:{other.port}/metrics") as answer:
                assert b"python_info" not in answer.read()
        with pytest.raises(PortTaken, match=f"{one.port}"):
            check_ports("127.0.0.1", ports)


def test_no_port_is_opened_where_none_is_wanted() -> None:
    with closing(MetricsPort(Metrics(), "127.0.0.1", range(0))) as nothing:
        assert nothing.port is None


def test_a_port_that_was_closed_can_be_taken_again() -> None:
    port = free_port()
    for _ in range(2):
        MetricsPort(Metrics(), "127.0.0.1", [port]).close()
    check_ports("127.0.0.1", [port])
    with socket.create_server(("127.0.0.1", port)):
        pass
