"""Real processes, scraped as Prometheus does: each shows its own, and together they show what happened."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

import httpx
from prometheus_client.parser import text_string_to_metric_families

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.keys import Keys
from tests.fakes.ports import free_port, free_ports
from tests.faults.harness import Site


def scraped(url: str, headers: dict[str, str] | None = None) -> Counter[tuple[str, ...]]:
    """The samples of a process, by name and values of labels; none while it does not listen."""
    found: Counter[tuple[str, ...]] = Counter()
    with suppress(httpx.TransportError):
        answer = httpx.get(url, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found[(sample.name, *(sample.labels[name] for name in sorted(sample.labels)))] += sample.value
    return found


def total(scrapes: Iterable[Counter[tuple[str, ...]]], name: str, *labels: str) -> float:
    """The sum of all samples of that name with these values among their labels."""
    return sum(v for scrape in scrapes for key, v in scrape.items() if key[0] == name and set(labels) <= set(key))


def test_every_process_shows_its_own_and_their_sum_is_what_happened(make_site: Callable[..., Site]) -> None:
    site = make_site()
    secret, _ = Keys(site.database).create("test", Role.ADMIN, EVERYTHING)
    headers = {"Authorization": f"Bearer {secret}"}
    ports, scheduler_port = free_ports(2), free_port()
    apis = [site.api(), site.api()]
    site.worker(worker_processes=2, metrics_port=ports[0])
    site.scheduler(metrics_port=scheduler_port)
    site.provider.behave(model="other", status=400)
    for number, api in enumerate(apis):
        api.ready()
        for lane in ("bulk", "interactive"):
            jobs = [{"prompt": "x", "model": "fake/small", "organization": "acme", "lane": lane}] * (number + 1)
            answer = httpx.post(f"{api.url}/api/v1/jobs", json=jobs, headers=headers, timeout=30)
            site.accepted += [job["id"] for job in answer.json()["jobs"]]
    site.submit(3, model="other/small")
    site.check_promises()

    def workers() -> list[Counter[tuple[str, ...]]]:
        return [scraped(f"http://127.0.0.1:{port}/metrics") for port in ports]

    shown = [scraped(f"{api.url}/metrics", headers) for api in apis]
    name = "synthralos_jobs_accepted_total"
    assert [total([one], name) for one in shown] == [2, 4]
    assert total(shown, name, "bulk") == 3
    site.eventually(lambda: all(workers()), "both worker processes show metrics")
    done = workers()
    assert total(done, "synthralos_jobs_ended_total", "succeeded") == 6
    assert total(done, "synthralos_jobs_ended_total", "failed") == 3
    assert total(done, "synthralos_attempts_total", "fake/small@us", "succeeded") == 6
    assert total(done, "synthralos_attempts_total", "other/small@us", "failed", "invalid_request") == 3
    assert total(done, "synthralos_provider_seconds_count", "fake/small@us") == 6
    assert total(done, "synthralos_commit_items_sum", "settle") >= 9
    assert total(done, "synthralos_slots", "used") == 0
    assert len({key for one in done for key in one if key[0] == "synthralos_build_info"}) == 1

    def leader() -> Counter[tuple[str, ...]]:
        return scraped(f"http://127.0.0.1:{scheduler_port}/metrics")

    site.eventually(lambda: total([leader()], "synthralos_scheduler_leads") == 1, "the scheduler leads")
    site.eventually(lambda: ("synthralos_queue_jobs", "bulk", "guard") in leader(), "the leader has looked")
    assert len([key for key in leader() if key[0] == "synthralos_queue_jobs"]) == len(Stage) * len(Lane)


def test_a_worker_whose_ports_are_taken_says_which_and_does_not_start(make_site: Callable[..., Site]) -> None:
    site = make_site()
    port = free_port()
    site.scheduler(metrics_port=port)
    site.eventually(lambda: scraped(f"http://127.0.0.1:{port}/metrics"), "the scheduler shows metrics")
    worker = site.worker(metrics_port=port)
    assert worker.wait() != 0
    assert f"METRICS_PORT: cannot listen on {port}" in worker.tail()
