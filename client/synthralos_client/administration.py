"""Keys and organizations: what to send, and how to read the answer. See `sending.py` for how they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from synthralos_client.config import Config
from synthralos_client.models import Key, Organization
from synthralos_client.sending import Call, Operation, encode, sending

KEYS = "/api/v1/keys"
ORGANIZATIONS = "/api/v1/organizations"


def keys(config: Config) -> Operation[list[Key]]:
    """The keys that the caller may see, newest first."""
    answer = (yield from sending(Call("GET", KEYS), config)).json()
    return list(map(Key.from_json, answer["keys"]))


def create_key(config: Config, name: str, options: Mapping[str, Any]) -> Operation[Key]:
    """Make a key. A request that the server may have seen is not repeated: a key that nobody holds would be left."""
    call = Call("POST", KEYS, body=encode({"name": name, **options}), repeatable=False)
    return Key.from_json((yield from sending(call, config)).json())


def rotate_key(config: Config, key_id: str, grace_seconds: float) -> Operation[Key]:
    """Make a key in the place of another one; not repeated, as in `create_key`."""
    body = encode({"grace_seconds": grace_seconds})
    call = Call("POST", f"{_key_path(key_id)}/rotate", body=body, repeatable=False)
    return Key.from_json((yield from sending(call, config)).json())


def revoke_key(config: Config, key_id: str) -> Operation[Key]:
    """Revoke a key; doing it again changes nothing."""
    return Key.from_json((yield from sending(Call("DELETE", _key_path(key_id)), config)).json())


def organizations(config: Config) -> Operation[list[Organization]]:
    """The organizations, by name."""
    answer = (yield from sending(Call("GET", ORGANIZATIONS), config)).json()
    return list(map(Organization.from_json, answer["organizations"]))


def set_plan(config: Config, organization: str, account_plan: str) -> Operation[Organization]:
    """Put an organization on a plan."""
    path = f"{ORGANIZATIONS}/{quote(organization, safe='')}"
    call = Call("PUT", path, body=encode({"account_plan": account_plan}))
    return Organization.from_json((yield from sending(call, config)).json())


def _key_path(key_id: str) -> str:
    return f"{KEYS}/{quote(key_id, safe='')}"
