"""A rolling upgrade and its way back: the previous release's processes work on the new schema, beside the new ones."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.admin.keys import Keys
from synthralos.store.admin.processes import release
from synthralos.store.tables import processes
from tests.faults.harness import Site
from tests.faults.harness_processes import THIS, Api, Process, Release
from tests.faults.previous_release import SETTINGS, unpack

JOBS = 60
"""Jobs of one submission."""


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(unpack(tmp_path_factory.mktemp("previous")), SETTINGS)


class Installed(NamedTuple):
    """The processes of one release."""

    api: Api
    others: Sequence[Process]

    def leave(self) -> None:
        """Drained and ended one after the other, as an orchestrator does it."""
        for process in (*self.others, self.api):
            assert process.terminate() == 0, process.tail()


def installed(site: Site, which: Release) -> Installed:
    """An API, a worker and a scheduler of that release, up."""
    api, worker, scheduler = site.api(which), site.worker(which), site.scheduler(which)
    api.ready()
    for process in (worker, scheduler):
        row = process.row()
        assert row.release == (release() if which is THIS else None), "another release runs than was asked for"
    return Installed(api, [worker, scheduler])


@contextmanager
def sender(site: Site) -> Iterator[Callable[..., None]]:
    """Submits arrays through APIs, with a new key."""
    secret, _ = Keys(site.database).create("test", Role.SERVICE, Scope("acme", "main", "ann"), plan="pro")
    with httpx.Client(headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client:

        def submit(*apis: Api) -> None:
            for api in apis:
                body = [{"prompt": f"Job {number} by {api.url}", "model": "fake/small"} for number in range(JOBS)]
                answer = client.post(f"{api.url}/api/v1/jobs", json=body)
                assert answer.status_code == 202, answer.text
                site.accepted += [receipt["id"] for receipt in answer.json()["jobs"]]

        yield submit


def exported(path: Path) -> set[str]:
    """The jobs whose traces have been written."""
    if not path.exists():
        return set()
    # Workers write side by side: the last line may be half written, and who sees that begins with a line of its own.
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n") and line.strip()]
    return {json.loads(line)["job"]["id"] for line in whole}


def test_an_upgrade_and_its_way_back_lose_nothing(
    make_site: Callable[..., Site], previous: Release, tmp_path: Path
) -> None:
    traces = tmp_path / "traces.jsonl"
    site = make_site(drain_timeout=20, trace_export_file=traces)
    with sender(site) as submit:
        old = installed(site, previous)
        submit(old.api)
        site.wait_until_done()
        site.provider.behave(delay=0.3)
        submit(old.api)
        new = installed(site, THIS)
        submit(old.api, new.api, old.api)
        old.leave()
        submit(new.api)
        again = installed(site, previous)
        submit(new.api, again.api)
        new.leave()
        submit(again.api)
        site.check_promises()
    assert site.states() == {State.SUCCEEDED: len(site.accepted)}
    both = {row.release for row in site.query(sa.select(processes.c.release))}
    assert both == {release(), None}
    site.eventually(lambda: exported(traces) == set(site.accepted), "every trace is exported")
