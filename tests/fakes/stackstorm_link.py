"""A StackStorm as the link meets it: executions with their traces, actions, triggers, and everything that may go wrong.

Strict like the real one: keys, closed bodies, parameters by the pack's own metadata, payloads by the triggers' schemas.
What an execution does is the test's (`workflow`), in a thread of its own; without one it runs until `finish`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema_rs

from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stackstorm_schemas import as_draft4, documents, payload_problems, trigger_types

KEY = "NWY4ZTg1YmZkMzE3OTgxNTcyMmY0Zg"
ROOT = "/api/v1"
_LIVE_ACTION = {
    "type": "object",
    "required": ["action"],
    "additionalProperties": False,
    "properties": {
        "action": {"type": "string"}, "parameters": {"type": "object"}, "context": {"type": "object"},
        "notify": {"type": "object"}, "delay": {"type": ["integer", "null"]}, "user": {"type": ["string", "null"]},
    },
}  # fmt: skip
_CLOSED = {"type": "object", "additionalProperties": False}
_WEBHOOK = {
    "type": "object",
    "required": ["trigger"],
    "properties": {"trigger": {"type": "string"}, "payload": {"type": "object"}},
}

Execution = dict[str, Any]
Workflow = Callable[[Execution], tuple[str, dict[str, Any]]]
"""What an execution does: its status at the end, and its output."""

ENDED = ("succeeded", "failed", "timeout", "abandoned", "canceled")


class FakeStackStorm:
    """Its state. `instead`: what it answers to everything, while it is set. `arrived`: a request has come."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.url = server.url + ROOT
        self.executions: dict[str, Execution] = {}
        self.told: list[tuple[str, dict[str, Any], str | None]] = []
        self.instead: Answer | None = None
        self.workflow: Workflow | None = None
        self.changed = threading.Condition()
        self.arrived, self.released = threading.Event(), threading.Event()
        self.released.set()
        self._hanging: tuple[str, ...] = ()
        self._actions = {
            f"synthralos.{each['name']}": as_draft4({**_CLOSED, "properties": _plain(each["parameters"])})
            for each in documents("actions/*.yaml").values()
        }
        self._threads: list[threading.Thread] = []
        server.script = self._answer

    def hang(self, *methods: str) -> None:
        """Take what comes, by these methods or by any, and say nothing until `go_on`."""
        self._hanging = methods
        self.released.clear()

    def go_on(self) -> None:
        """Answer, also what waits."""
        self.released.set()

    def remove_pack(self) -> None:
        """The pack is installed no more."""
        self._actions.clear()

    def started(self, count: int = 1) -> list[Execution]:
        """The executions, when there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.executions) >= count, 20)
            return list(self.executions.values())

    def finish(self, execution: Execution, status: str = "succeeded", **output: Any) -> None:
        """The execution ends so."""
        with self.changed:
            if execution["status"] not in ENDED:
                execution |= {"status": status, "result": {"output": output, "errors": []}}
            self.changed.notify_all()

    def ended(self, execution: Execution) -> str:
        """The execution's status, when it is over."""
        with self.changed:
            assert self.changed.wait_for(lambda: execution["status"] in ENDED, 20)
            return str(execution["status"])

    def close(self) -> None:
        self.go_on()
        for thread in self._threads:
            thread.join(20)

    def _answer(self, asked: Asked) -> Answer:
        if not self._hanging or asked.method in self._hanging:
            self.arrived.set()
            self.released.wait(30)
        if self.instead is not None:
            return self.instead
        key = asked.headers.get("st2-api-key")
        if key != KEY:
            return _fault(401, "Unauthorized - One of Token or API key required." if key is None else "Unauthorized")
        if not asked.path.startswith(f"{ROOT}/"):
            return _fault(404, "The resource could not be found.")
        head, _, rest = asked.path.removeprefix(f"{ROOT}/").partition("/")
        handler = getattr(self, f"_{asked.method.lower()}_{head}", None)
        answer: Answer = _fault(404, "The resource could not be found.") if handler is None else handler(rest, asked)
        return answer

    def _get_actions(self, ref: str, _: Asked) -> Answer:
        if ref not in self._actions:
            return _fault(404, f'Resource with a reference or id "{ref}" not found')
        return Answer(200, {"ref": ref, "enabled": True})

    def _post_executions(self, _: str, asked: Asked) -> Answer:
        body = asked.json()
        wrong = _wrong(_LIVE_ACTION, body)
        if wrong:
            return _fault(400, wrong)
        if body["action"] not in self._actions:
            return _fault(400, f'Action "{body["action"]}" cannot be found.')
        wrong = _wrong(self._actions[body["action"]], body.get("parameters", {}))
        if wrong:
            return _fault(400, wrong)
        with self.changed:
            made: Execution = {
                "id": f"{len(self.executions) + 1:024x}", "action": {"ref": body["action"]}, "status": "requested",
                "parameters": body.get("parameters", {}), "context": {"user": "st2admin", **body.get("context", {})},
            }  # fmt: skip
            self.executions[made["id"]] = made
            self.changed.notify_all()
        self._run(made)
        return Answer(201, made)

    def _run(self, execution: Execution) -> None:
        workflow = self.workflow
        if workflow is None:
            execution["status"] = "running"
            return

        def run() -> None:
            execution["status"] = "running"
            status, output = workflow(execution)
            self.finish(execution, status, **output)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _get_executions(self, id_: str, _: Asked) -> Answer:
        found = self.executions.get(id_)
        return Answer(200, dict(found)) if found else _fault(404, f'Unable to identify resource with id "{id_}".')

    def _delete_executions(self, id_: str, _: Asked) -> Answer:
        if id_ not in self.executions:
            return _fault(404, f'Unable to identify resource with id "{id_}".')
        self.finish(self.executions[id_], "canceled")
        return Answer(200, dict(self.executions[id_]))

    def _get_traces(self, _: str, asked: Asked) -> Answer:
        tag = asked.query.get("trace_tag")
        found = [
            {
                "id": f"trace-{each['id']}", "trace_tag": tag,
                "action_executions": [{"object_id": each["id"], "ref": each["action"]["ref"], "caused_by": {}}],
            }
            for each in self.executions.values()
            if each["context"].get("trace_context", {}).get("trace_tag") == tag
        ]  # fmt: skip
        return Answer(200, found[: int(asked.query.get("limit", 100))])

    def _post_webhooks(self, hook: str, asked: Asked) -> Answer:
        body = asked.json()
        if hook != "st2":
            return _fault(404, f"Webhook {hook} not registered with st2")
        wrong = _wrong(_WEBHOOK, body)
        if not wrong and body["trigger"] in trigger_types():
            wrong = "; ".join(payload_problems(body["trigger"], body.get("payload", {})))
        if wrong:
            return _fault(400, wrong)
        with self.changed:
            self.told.append((body["trigger"], body.get("payload", {}), asked.headers.get("st2-trace-tag")))
            self.changed.notify_all()
        return Answer(202, body)


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters without what is StackStorm's own beside their schemas."""
    return {
        name: {key: value for key, value in each.items() if key not in ("position", "immutable", "secret")}
        for name, each in parameters.items()
    }


def _wrong(schema: dict[str, Any], body: Any) -> str:
    return "; ".join(error.message for error in jsonschema_rs.Draft4Validator(schema).iter_errors(body))


def _fault(status: int, said: str) -> Answer:
    return Answer(status, {"faultstring": said}, {"Content-Type": "application/json"})


@contextmanager
def stackstorm() -> Iterator[FakeStackStorm]:
    """A StackStorm that has the pack."""
    with scripted_server() as server:
        fake = FakeStackStorm(server)
        try:
            yield fake
        finally:
            fake.close()
