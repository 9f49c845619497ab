"""TRACE_EXPORT_FILE: what is appended to the file is what the API exports."""

import json
from pathlib import Path

import httpx

from api.process import ApiServer
from embedded.system import admin_key
from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.tables import export_backlog
from tests.fakes.jobs import new_job
from tests.fakes.plain_http import NO_TLS
from tests.fakes.stores import Store
from tests.integration.worker_place import ordered, worker_place


def test_a_finished_jobs_trace_is_a_line_that_equals_what_the_api_exports(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "shipped" / "traces.jsonl"
    store = Store(database)
    with worker_place(store) as place:
        core = place.core(trace_export_file=path)
        place.start(core)
        jobs = [new_job("Grüße, 世界"), ordered("rate_limited"), ordered("invalid_request")]
        job_ids = place.submit(*jobs)
        assert place.finished(*job_ids) == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
        place.heard.until(lambda: not store.rows(export_backlog))
        lines = {line["job"]["id"]: line for line in map(json.loads, path.read_text().splitlines())}
        server = ApiServer(core, "127.0.0.1", 0)
        server.start()
        try:
            headers = {"Authorization": f"Bearer {admin_key(core, 'test').secret}"}
            with httpx.Client(verify=NO_TLS, base_url=server.url, headers=headers, timeout=30) as client:
                exported = [
                    client.get(f"/api/v1/observability/traces/{job_id}/export").raise_for_status().json()["jobs"]
                    for job_id in job_ids
                ]
        finally:
            server.stop()
    compared = [lines[job_id].pop("similarity") for job_id in job_ids]
    assert {each["embedder"] for each in compared if each is not None}, "the file also says what the prompt is like"
    assert exported == [[lines[job_id]] for job_id in job_ids]


def test_without_the_setting_nothing_is_owed(database: Database) -> None:
    store = Store(database)
    with worker_place(store) as place:
        place.worker()
        place.run(new_job())
    assert store.rows(export_backlog) == []
