"""A provider that takes some keys and refuses others, and workers whose keys are files: for tests of credentials."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.flow.key_choice import in_turn
from pipelines.providers.table import check_deployment
from synthralos.core import Core
from synthralos.domain.jobs import NewJob
from synthralos.live_config import KeptConfig
from synthralos.store.admin.configuration import Configuration
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import DROPPED, Answer, Asked, ScriptedServer
from tests.integration.worker_place import WorkerPlace

DEAD, GOOD, FRESH = "canary-dead-71ab", "canary-good-82bc", "canary-fresh-93cd"
CANARIES = (DEAD, GOOD, FRESH)
FIRST, JOBS = "fake/first@us", 6
CATALOG = """
[providers.fake]
adapter = "openai"
base_url = "{url}/v1"
credential = "fake"
[[deployment]]
id = "fake/first@us"
context_window = 100000
max_output = 1000
price = {{ input = "1", output = "2", as_of = "2026-01-01" }}
[[deployment]]
id = "fake/slow@us"
context_window = 100000
max_output = 1000
timeout = 0.2
price = {{ input = "3", output = "4", as_of = "2026-01-01" }}
"""


class Provider:
    """Takes some keys and refuses the others, repeating them as providers do."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server, self.taken, self.status = server, {GOOD}, 401
        self.goes_on = threading.Event()
        server.script = self.said

    def said(self, asked: Asked) -> Answer:
        key = asked.headers["authorization"].removeprefix("Bearer ")
        if key not in self.taken:
            return Answer(self.status, {"error": {"message": f"Incorrect API key {key}", "code": "invalid_api_key"}})
        if asked.json()["model"] == "slow":
            self.goes_on.wait(60)
        prompt = asked.json()["messages"][-1]["content"]
        if prompt == "fail":
            return Answer(400, {"error": {"message": f"no good: {key}"}})
        if prompt == "drop":
            return DROPPED
        message = {"role": "assistant", "content": "Paris"}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def sent(self) -> Counter[str]:
        return Counter(asked.headers["authorization"].removeprefix("Bearer ") for asked in self.server.asked)


def kept_core(place: WorkerPlace, provider: Provider, secrets: Path) -> Core:
    """A core whose configuration is read from the catalog and the secrets."""
    catalog = secrets.parent / "catalog.toml"
    catalog.write_text(CATALOG.format(url=provider.server.url))
    core = place.core(catalog_file=catalog, secrets_dir=secrets)
    live = KeptConfig(core.settings, {}, Configuration(place.store.database), check_deployment, 0.05)
    place.at_end(live.close)
    return replace(core, live=live)


def short(prompt: str = "Hi", **more: Any) -> NewJob:
    return new_job(prompt, **{"model": "fake/first", **more})


def turning_to_the_dead_key(prompt: str = "Hi", **more: Any) -> NewJob:
    """A job on whose first call it is that key's turn."""
    jobs = iter(lambda: short(prompt, **more), None)
    return next(job for job in jobs if in_turn(("fake", "fake.2"), job.id, 1)[0] == "fake")
