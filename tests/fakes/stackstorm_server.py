"""A StackStorm as its API shows it: keys, packs that it really clones, configurations, executions, sensors.

As strict as the real one: who has no key gets 401, what is not there 404, what a schema does not know 400, all of
them with a `faultstring`; executions go through their states; secrets need a key of the server's, and are masked.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import yaml

from tests.fakes.stackstorm_schemas import as_draft4

KEY = "NWY4ZTg1YmZkMzE3OTgxNTcyMmY0Zg"
_STATES = ("requested", "scheduled", "running")
_VALUE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["value"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "uid", "name", "description", "value", "scope")},
        **{name: {"type": "boolean"} for name in ("secret", "encrypted")},
        "ttl": {"type": "integer"},
    },
}
_INSTALL = {
    "type": "object",
    "required": ["packs"],
    "properties": {"packs": {"type": "array"}, "force": {"type": "boolean"}, "skip_dependencies": {"type": "boolean"}},
}

Run = Callable[[str, dict[str, Any], dict[str, Any]], tuple[bool, Any]]
"""Runs an action of the pack: its name, its configuration, its parameters to (succeeded, result)."""


class Fault(Exception):
    """An error as StackStorm answers it."""

    def __init__(self, status: int, said: str, **more: Any) -> None:
        super().__init__(said)
        self.status = status
        self.body = {"faultstring": said, **more}


class FakeStackStorm:
    """Its state. `answers` holds statuses to be answered instead, by method and path, each once."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self.run = run
        self.encrypts = True
        self.installing = 3
        """How many looks an execution takes to end."""
        self.packs: dict[str, Path] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self.sensor_switches: list[bool] = []
        self.instead: dict[tuple[str, str], list[int]] = {}
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, key: str | None, body: Any) -> tuple[int, Any]:
        """The status and the body."""
        url = urlsplit(target)
        with self._lock:
            try:
                return self._answer(method, url.path, parse_qs(url.query), key, body)
            except Fault as fault:
                return fault.status, fault.body

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], key: str | None, body: Any
    ) -> tuple[int, Any]:
        if not path.startswith("/api/v1/"):
            raise Fault(404, "The resource could not be found.")
        if key is None:
            raise Fault(401, "Unauthorized - One of Token or API key required.")
        if key != KEY:
            raise Fault(401, "Unauthorized - ApiKey with key_hash=5f8e85bfd not found.")
        place = path.removeprefix("/api/v1/")
        self.asked.append((method, place))
        if waiting := self.instead.get((method, place)):
            raise Fault(waiting.pop(0), "Not now")
        head, _, rest = place.partition("/")
        handler = getattr(self, f"_{method.lower()}_{head}", None)
        if handler is None:
            raise Fault(404, "The resource could not be found.")
        return handler(rest, query, body)  # type: ignore[no-any-return]

    def _post_packs(self, rest: str, query: Any, body: Any) -> tuple[int, Any]:
        if rest != "install":
            raise Fault(404, "The resource could not be found.")
        _check(_INSTALL, body)
        made = self._execution("packs.install", body)
        return 202, {"execution_id": made["id"]}

    def _get_packs(self, ref: str, query: Any, body: Any) -> tuple[int, Any]:
        if ref not in self.packs:
            raise Fault(404, f'Resource with a ref or id "{ref}" not found')
        return 200, {"ref": ref, **_yaml(self.packs[ref] / "pack.yaml")}

    def _get_actions(self, rest: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        [pack] = query["pack"]
        files = sorted((self.packs[pack] / "actions").glob("*.yaml")) if pack in self.packs else []
        return 200, [{"name": _yaml(path)["name"], "pack": pack} for path in files[: int(query["limit"][0])]]

    def _put_keys(self, name: str, query: Any, body: Any) -> tuple[int, Any]:
        _check(_VALUE, body)
        if body.get("secret") and not self.encrypts:
            raise Fault(400, "Crypto key is not set up. Cannot store secret values.")
        self.values[name] = body
        return 200, {**body, "value": "<encrypted>" if body.get("secret") else body["value"]}

    def _get_configs(self, ref: str, query: Any, body: Any) -> tuple[int, Any]:
        if ref not in self.packs or ref not in self.configs:
            raise Fault(404, f'Unable to identify resource with pack_ref "{ref}".')
        masked = {**self.configs[ref]}
        masked |= {name: "********" for name in masked if self._schema(ref)["properties"].get(name, {}).get("secret")}
        return 200, {"id": "1", "pack": ref, "values": masked}

    def _put_configs(self, ref: str, query: Any, body: Any) -> tuple[int, Any]:
        _check({**as_draft4(self._schema(ref)), "additionalProperties": True}, body)
        self.configs[ref] = body
        return 200, {"id": "1", "pack": ref, "values": body}

    def _schema(self, ref: str) -> dict[str, Any]:
        if ref not in self.packs:
            return {"type": "object", "properties": {}}
        return {"type": "object", "properties": _yaml(self.packs[ref] / "config.schema.yaml")}

    def _get_sensortypes(self, ref: str, query: Any, body: Any) -> tuple[int, Any]:
        if "synthralos" not in self.packs:
            raise Fault(404, f'Resource with a ref or id "{ref}" not found')
        enabled = self.sensor_switches[-1] if self.sensor_switches else True
        return 200, {"id": "2", "ref": ref, "pack": "synthralos", "enabled": enabled}

    def _put_sensortypes(self, ref: str, query: Any, body: Any) -> tuple[int, Any]:
        self.sensor_switches.append(bool(body.get("enabled", False)))
        return self._get_sensortypes(ref, query, body)

    def _post_executions(self, rest: str, query: Any, body: Any) -> tuple[int, Any]:
        pack, _, name = body["action"].partition(".")
        if pack not in self.packs or not (self.packs[pack] / "actions" / f"{name}.yaml").exists():
            raise Fault(400, f'Action "{body["action"]}" cannot be found.')
        return 201, self._execution(body["action"], body.get("parameters", {}))

    def _get_executions(self, rest: str, query: Any, body: Any) -> tuple[int, Any]:
        execution_id, _, children = rest.partition("/")
        if execution_id not in self.executions:
            raise Fault(404, f'Unable to identify resource with id "{execution_id}".')
        execution = self.executions[execution_id]
        if children == "children":
            return 200, execution["children"]
        if execution["status"] in _STATES:
            execution["looks"] += 1
            execution["status"] = _STATES[min(execution["looks"], len(_STATES) - 1)]
            if execution["looks"] >= self.installing:
                self._end(execution)
        return 200, execution

    def _execution(self, action: str, parameters: dict[str, Any]) -> dict[str, Any]:
        made = {
            "id": f"{len(self.executions):024x}", "action": {"ref": action}, "parameters": parameters,
            "status": "requested", "looks": 0, "children": [],
        }  # fmt: skip
        self.executions[made["id"]] = made
        return made

    def _end(self, execution: dict[str, Any]) -> None:
        ref = execution["action"]["ref"]
        if ref == "packs.install":
            wrong = [said for reference in execution["parameters"]["packs"] if (said := self._install(reference))]
            execution["status"] = "failed" if wrong else "succeeded"
            child = {
                "action": {"ref": "packs.download"},
                "status": execution["status"],
                "result": {"stderr": "".join(wrong)},
            }
            execution["children"] = [child]
            execution["result"] = {"output": None}
            return
        pack, _, name = ref.partition(".")
        done, result = self.run(name, self._resolved(pack), execution["parameters"])
        execution["status"] = "succeeded" if done else "failed"
        execution["result"] = {"result": result, "exit_code": 0, "stdout": "", "stderr": ""}

    def _install(self, reference: str) -> str:
        """Clone a pack as StackStorm does; what went wrong, if anything."""
        address, _, version = reference.partition("=")
        folder = self.folder / f"clone-{len(list(self.folder.iterdir()))}"
        for command in (
            ["clone", "-q", address, str(folder)],
            ["-C", str(folder), "checkout", "-q", version or "HEAD"],
        ):
            done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return done.stderr
        if not (folder / "pack.yaml").is_file():
            return f'Pack "{folder}" is missing pack.yaml file'
        self.packs[_yaml(folder / "pack.yaml")["ref"]] = folder
        return ""

    def _resolved(self, pack: str) -> dict[str, Any]:
        """The configuration as actions get it: with defaults, and with what lies in the datastore."""
        known = self._schema(pack)["properties"]
        found = {name: schema["default"] for name, schema in known.items() if "default" in schema}
        for name, value in self.configs.get(pack, {}).items():
            inner = value.strip("{ }") if isinstance(value, str) and value.startswith("{{") else None
            found[name] = value if inner is None else self.values[inner.removeprefix("st2kv.system.")]["value"]
        return found


def _check(schema: dict[str, Any], body: Any) -> None:
    wrong = [error.message for error in jsonschema_rs.Draft4Validator(schema).iter_errors(body)]
    if wrong:
        raise Fault(400, "; ".join(wrong))


def _yaml(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


@contextmanager
def stackstorm_server(fake: FakeStackStorm) -> Iterator[str]:
    """The API's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            status, answer = fake.answer(self.command, self.path, self.headers.get("St2-Api-Key"), body)
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/v1"
        finally:
            server.shutdown()
            thread.join()
