"""A deployment is switched off and on, as the catalog that is in force has it.

The API knows entries of a deployment as a whole, and the catalog file's are not read out. So what
pauses a deployment of the file is an entry of what the API shows of it, switched off; what resumes
it removes that entry again. Each write says which version it was made of, and is made anew of the
newest one where somebody was faster.
"""

from lib.synthralos_api import ApiError, segment

TRIES = 5
"""Writes that are made anew, each because somebody else wrote in between."""

CARRIED = (
    "context_window",
    "max_output",
    "tier",
    "capabilities",
    "max_in_flight",
    "timeout",
    "zero_retention",
)
OPTIONAL = ("residency", "rpm", "tpm")


def paused(api, deployment_id, reason):
    """(Whether this switched it off, the deployment afterwards)."""
    return _switched(api, deployment_id, reason, False)


def resumed(api, deployment_id, reason):
    """(Whether this switched it on, the deployment afterwards)."""
    return _switched(api, deployment_id, reason, True)


def _switched(api, deployment_id, reason, enabled):
    path = "/api/v1/deployments/" + segment(deployment_id)
    for left in reversed(range(TRIES)):
        read = api.get(path)
        if read.data["enabled"] is enabled:
            return False, read.data
        try:
            _write(api, path, read, reason, enabled)
        except ApiError as error:
            if error.kind not in ("changed_meanwhile", "ambiguous") or not left:
                raise
            continue
        return True, api.get(path).data
    raise AssertionError("every try returns or raises")


def _write(api, path, read, reason, enabled):
    query, entry = {"reason": reason}, read.data["entry"]
    if enabled and entry is not None and _stands_for_the_file(api, read.data):
        api.delete(path, query, read.etag)
    else:
        made = _entry_of(read.data) if entry is None else entry
        written = api.put(path, dict(made, enabled=enabled), query, read.etag)
        if entry is None and written.data["price"] != read.data["price"]:
            # Calls that are in flight are booked by it.
            api.delete(path, query, written.etag)
            raise ApiError(
                "unexpected", "its price cannot be carried over: it was not switched off"
            )


def _entry_of(view):
    """An entry that says of a deployment what the API shows of it."""
    if view["source"] != "file":
        raise ApiError(
            "forbidden", "the key does not see the deployment's entry: use one of no tenant"
        )
    entry = {name: view[name] for name in CARRIED}
    entry.update({name: view[name] for name in OPTIONAL if view[name] is not None})
    if view["price"] is not None:
        entry["price"] = _without_none(view["price"])
    return entry


def _stands_for_the_file(api, view):
    """Whether the entry was set where the database had none: the newest change in the audit log
    says so.
    """
    subject = {"subject": "deployment:" + view["id"], "limit": 1}
    changes = api.get("/api/v1/audit", subject).data["changes"]
    return bool(changes) and changes[0]["before"] is None and changes[0]["after"] == view["entry"]


def _without_none(value):
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value
