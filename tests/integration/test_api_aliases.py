"""Aliases over HTTP: in force with the answer, refused by path, on record; and deployments that they stand on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.v1.aliases import AliasList, AliasView
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.sql.database import Database
from synthralos_client import ApiError, Client
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of, submitted

API = "/api/v1"
ALIASES = f"{API}/aliases"
NEW = f"{API}/deployments/sandbox/new@eu"
PRICE = {"input": "1.5", "output": "2", "as_of": "2026-01-01"}
ENTRY = {"context_window": 9_000, "max_output": 500, "price": PRICE}
CATALOG = """
[providers.sandbox]
adapter = "sandbox"
[[deployment]]
id = "sandbox/small@us"
context_window = 9_000
max_output = 500
tier = "economy"
[[deployment]]
id = "sandbox/large@us"
context_window = 9_000
max_output = 500
[aliases]
fast = "sandbox/small"
later = "sandbox/new@eu"
"""


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    file = tmp_path / "catalog.toml"
    file.write_text(CATALOG)
    with api_over(core_over(database, catalog_file=file)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def put(client: httpx.Client, name: str, *targets: str, **headers: str) -> httpx.Response:
    return client.put(f"{ALIASES}/{name}", json={"targets": list(targets)}, headers=headers)


def seen(client: httpx.Client, name: str) -> dict[str, Any]:
    answer = client.get(f"{ALIASES}/{name}")
    assert answer.status_code == 200
    return AliasView.model_validate_json(answer.content).model_dump(mode="json")


def test_an_alias_that_is_set_can_be_asked_for_at_once(place: Place, root: httpx.Client) -> None:
    service = place.client(Role.SERVICE)
    assert fields_of(service.post(JOBS, json={"prompt": "Hi", "model": "mine"})) == ["model"]
    made = put(root, "mine", "sandbox/large", "fast")
    assert made.status_code == 200
    assert made.json()["deployments"] == ["sandbox/small@us", "sandbox/large@us"]
    assert made.headers["etag"] == f'"{made.json()["version"]}"'
    submitted(service, model="mine")
    assert (seen(service, "mine")["source"], seen(service, "mine")["changed_by"]) == ("database", None)
    left = root.delete(f"{ALIASES}/mine", params={"reason": "done"})
    assert [each["name"] for each in AliasList.model_validate_json(left.content).model_dump()["aliases"]] == [
        "fast", "later"
    ]  # fmt: skip
    assert root.get(f"{ALIASES}/mine").status_code == root.delete(f"{ALIASES}/mine").status_code == 404
    changes = root.get(f"{API}/audit", params={"subject": "alias:mine"}).json()["changes"]
    assert [(c["act"], c["before"], c["after"], c["reason"]) for c in changes] == [
        ("aliases.remove", {"targets": ["sandbox/large", "fast"]}, None, "done"),
        ("aliases.set", None, {"targets": ["sandbox/large", "fast"]}, ""),
    ]  # fmt: skip


def test_the_database_wins_over_the_file_and_the_file_holds_again(root: httpx.Client) -> None:
    assert (seen(root, "fast")["source"], seen(root, "fast")["version"]) == ("file", 0)
    put(root, "fast", "tier:standard")
    assert (seen(root, "fast")["source"], seen(root, "fast")["deployments"]) == ("database", ["sandbox/large@us"])
    root.delete(f"{ALIASES}/fast")
    assert (seen(root, "fast")["source"], seen(root, "fast")["deployments"]) == ("file", ["sandbox/small@us"])


@pytest.mark.parametrize(
    ("name", "targets", "field", "said"),
    [
        ("mine", ["sandbox/smal"], "targets[0]", "sandbox/small"),
        ("mine", ["fast", "nothing-like-it-at-all"], "targets[1]", "choose from"),
        ("mine", ["tier:premium"], "targets[0]", "tier:premium"),
        ("mine", ["mine"], "targets", "mine → mine"),
        ("mine", [], "targets", ""),
        ("auto", ["fast"], "path.name", "every deployment"),
        ("small", ["sandbox/large"], "path.name", "model already"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_path(
    root: httpx.Client, name: str, targets: list[str], field: str, said: str
) -> None:
    answer = put(root, name, *targets)
    assert answer.status_code == 422
    assert fields_of(answer) == [field]
    assert said in answer.text
    assert [each["name"] for each in root.get(ALIASES).json()["aliases"]] == ["fast", "later"]


def test_a_circle_is_refused_also_where_two_close_it_at_once(root: httpx.Client) -> None:
    for name in ("one", "two", "three"):
        put(root, name, "fast")
    closing = [("one", "two"), ("two", "three"), ("three", "one")]
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda pair: put(root, *pair), closing))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 422]
    [refused] = [answer for answer in answers if answer.status_code == 422]
    assert fields_of(refused) == ["targets"]
    assert refused.text.count(" → ") == 3


def test_aliases_and_deployments_of_file_and_database_name_one_another(place: Place, root: httpx.Client) -> None:
    assert seen(root, "later")["deployments"] == []
    assert root.put(NEW, json=ENTRY).status_code == 200
    assert seen(root, "later")["deployments"] == ["sandbox/new@eu"]
    assert put(root, "mine", "sandbox/new").status_code == 200
    refused = root.delete(NEW)
    assert (refused.status_code, fields_of(refused)) == (422, ["path.deployment_id"])
    assert root.get(NEW).status_code == 200
    assert root.delete(f"{ALIASES}/mine").status_code == 200
    assert put(root, "later", "fast").status_code == 200
    assert root.delete(NEW).status_code == 200


def test_an_alias_that_others_name_is_not_removed(root: httpx.Client) -> None:
    put(root, "one", "fast")
    put(root, "two", "one")
    refused = root.delete(f"{ALIASES}/one")
    assert (refused.status_code, fields_of(refused), "two[0]" in refused.text) == (422, ["path.name"], True)
    assert root.delete(f"{ALIASES}/two").status_code == root.delete(f"{ALIASES}/one").status_code == 200


def test_a_tier_that_an_alias_names_is_not_emptied(root: httpx.Client) -> None:
    root.put(NEW, json={**ENTRY, "tier": "premium"})
    put(root, "best", "tier:premium")
    refused = root.put(NEW, json={**ENTRY, "tier": "economy"})
    assert (refused.status_code, fields_of(refused)) == (422, ["path.deployment_id"])
    assert root.get(NEW).json()["tier"] == "premium"


def test_a_change_of_what_was_changed_meanwhile_is_refused(root: httpx.Client) -> None:
    first = put(root, "mine", "fast").headers["etag"]
    assert put(root, "mine", "sandbox/large", **{"If-Match": '"0"'}).status_code == 412
    second = put(root, "mine", "sandbox/large", **{"If-Match": first})
    assert second.status_code == 200
    assert put(root, "mine", "fast", **{"If-Match": first}).status_code == 412
    assert root.delete(f"{ALIASES}/mine", headers={"If-Match": first}).status_code == 412
    assert fields_of(put(root, "mine", "fast", **{"If-Match": "soon"})) == ["header.If-Match"]
    root.delete(f"{ALIASES}/mine", headers={"If-Match": second.headers["etag"]})
    # One that is made again is another one.
    assert put(root, "mine", "fast").headers["etag"] not in (first, second.headers["etag"])


def test_deployments_have_versions_too(root: httpx.Client) -> None:
    assert root.get(f"{API}/deployments/sandbox/small@us").headers["etag"] == '"0"'
    other = f"{API}/deployments/sandbox/other@eu"
    made = root.put(other, json=ENTRY, headers={"If-Match": '"0"'})
    assert made.status_code == 200
    assert root.put(other, json=ENTRY, headers={"If-Match": '"0"'}).status_code == 412
    assert root.delete(other, headers={"If-Match": '"0"'}).status_code == 412
    assert root.delete(other, headers={"If-Match": made.headers["etag"]}).status_code == 200


def test_what_a_deployment_leaves_open_is_told(root: httpx.Client) -> None:
    bare = {name: value for name, value in ENTRY.items() if name != "price"}
    told = root.put(f"{API}/deployments/sandbox/bare@westeurope", json=bare).json()["warnings"]
    assert [each.partition(":")[0] for each in told] == ["price", "residency"]
    assert root.put(NEW, json=ENTRY).json()["warnings"] == []
    [misspelt] = root.put(NEW, json={**ENTRY, "residency": "europe"}).json()["warnings"]
    assert misspelt.startswith("residency: europe is none of eu")


def test_aliases_concern_the_whole_installation(place: Place) -> None:
    bound = place.client(Role.ADMIN, ACME)
    assert put(bound, "mine", "fast").status_code == bound.delete(f"{ALIASES}/mine").status_code == 403
    assert put(place.client(Role.OPERATOR, EVERYTHING), "mine", "fast").status_code == 403
    assert place.client(Role.VIEWER, ACME).get(ALIASES).status_code == 200


def test_the_client_changes_aliases_and_sends_versions(place: Place) -> None:
    with Client(place.url, place.key(Role.ADMIN, EVERYTHING)) as client:
        made = client.configuration.set_alias("mine", ["fast"], reason="trial", version=0)
        assert client.configuration.alias("mine") == made
        assert [each["name"] for each in client.configuration.aliases()] == ["fast", "later", "mine"]
        with pytest.raises(ApiError) as refused:
            client.configuration.set_alias("mine", ["sandbox/large"], version=0)
        assert refused.value.status == 412
        assert client.configuration.deployment("sandbox/small@us")["version"] == 0
        left = client.configuration.remove_alias("mine", version=made["version"])
        assert [each["name"] for each in left] == ["fast", "later"]
