"""The pack's installation into a StackStorm: published, installed, configured, tried; and what goes wrong."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import deploy_pack, stackstorm_api
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from tests.fakes.stackstorm_pack import stackstorm
from tests.fakes.stackstorm_schemas import PACK
from tests.fakes.stackstorm_server import KEY, FakeStackStorm, stackstorm_server
from tests.integration.api_place import Place


def _git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the pack as it is here."""
    folder = tmp_path / "checkout"
    shutil.copytree(PACK, folder / "stackstorm", ignore=shutil.ignore_patterns("__pycache__"))
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "all")
    return folder


@pytest.fixture(scope="module")
def place(pack_place: Place) -> Place:
    return pack_place


@pytest.fixture
def fake(tmp_path: Path) -> FakeStackStorm:
    """Runs the pack's actions for real."""
    (tmp_path / "clones").mkdir()

    def run(action: str, config: dict[str, Any], parameters: dict[str, Any]) -> tuple[bool, Any]:
        with stackstorm("", "") as pack:
            pack.config = config
            answer = pack.answer(action, **parameters)
        return answer["status"], answer["result"]

    return FakeStackStorm(tmp_path / "clones", run)


class Deployment:
    """The script, run for a checkout, in front of a StackStorm."""

    def __init__(self, checkout: Path, url: str, place: Place) -> None:
        self.repository = checkout.parent / "published"
        self.checkout = checkout
        self.environ = {
            "ST2_API_URL": url,
            "ST2_API_KEY": KEY,
            "SYNTHRALOS_URL": place.url,
            "SYNTHRALOS_API_KEY": place.key(Role.OPERATOR, EVERYTHING),
        }

    def __call__(self, *arguments: str, **environ: str) -> int:
        return deploy_pack.main(["--repository", str(self.repository), *arguments], {**self.environ, **environ})


@pytest.fixture
def deploy(checkout: Path, fake: FakeStackStorm, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setattr(deploy_pack, "ROOT", checkout)
    monkeypatch.setattr(stackstorm_api, "LOOK_EVERY", 0.0)
    with stackstorm_server(fake) as url:
        yield Deployment(checkout, url, place)


def test_a_pack_is_published_installed_configured_and_tried(
    deploy: Deployment, fake: FakeStackStorm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0, capsys.readouterr().err
    installed = fake.packs["synthralos"]
    assert sorted(path.name for path in installed.iterdir() if path.name != ".git") == sorted(
        path.name for path in PACK.iterdir()
    )
    assert fake.configs["synthralos"]["api_key"] == "{{ st2kv.system.synthralos_api_key }}"
    assert fake.values["synthralos_api_key"]["secret"] is True
    assert fake.sensor_switches == [False, True]
    said = capsys.readouterr()
    assert "ready" in said.out
    for secret in (KEY, deploy.environ["SYNTHRALOS_API_KEY"]):
        assert secret not in said.out + said.err


def test_a_second_time_changes_nothing_that_is_as_it_should_be(
    deploy: Deployment, fake: FakeStackStorm, checkout: Path
) -> None:
    assert deploy("--no-check") == 0
    tip = _git(deploy.repository, "rev-parse", "main")
    fake.configs["synthralos"]["timeout"] = 77
    fake.sensor_switches[:] = [False]
    assert deploy("--no-check") == 0
    assert _git(deploy.repository, "rev-parse", "main") == tip
    assert fake.configs["synthralos"]["timeout"] == 77
    # A sensor that somebody switched off stays off.
    assert fake.sensor_switches == [False]
    manifest = checkout / "stackstorm" / "pack.yaml"
    manifest.write_text(manifest.read_text().replace("0.1.0", "0.1.1"))
    assert deploy("--no-check") == 1
    _git(checkout, "commit", "-qam", "next")
    assert deploy("--no-check") == 0
    assert _git(deploy.repository, "rev-parse", "main^") == tip
    assert (deploy.repository / "pack.yaml").read_text() == manifest.read_text()


def test_an_installation_that_fails_is_told_with_what_failed(
    deploy: Deployment, fake: FakeStackStorm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--pack-url", f"file://{deploy.repository}-elsewhere") == 1
    assert "packs.download" in capsys.readouterr().err
    assert fake.configs == {}


def test_an_installation_that_does_not_end_is_given_up(
    deploy: Deployment, fake: FakeStackStorm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.installing = 10**9
    assert deploy("--timeout", "0.2") == 1
    assert "0.2 seconds" in capsys.readouterr().err


def test_a_stackstorm_that_is_started_anew_meanwhile_is_waited_for(deploy: Deployment, fake: FakeStackStorm) -> None:
    fake.instead[("GET", f"executions/{0:024x}")] = [502, 503]
    assert deploy("--no-check") == 0


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (("POST", "packs/install"), 409),
        (("POST", "packs/install"), 403),
        (("PUT", "configs/synthralos"), 400),
        (("PUT", "keys/synthralos_api_key"), 500),
    ],
)
def test_what_stackstorm_refuses_is_told(
    request_: tuple[str, str], status: int, deploy: Deployment, fake: FakeStackStorm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.instead[request_] = [status]
    assert deploy() == 1
    assert str(status) in capsys.readouterr().err


def test_keys_that_are_not_known_and_secrets_that_cannot_be_kept_are_told(
    deploy: Deployment, fake: FakeStackStorm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(ST2_API_KEY="wrong") == 1
    assert "ST2_API_KEY" in capsys.readouterr().err
    fake.encrypts = False
    assert deploy() == 1
    assert "st2-generate-symmetric-crypto-key" in capsys.readouterr().err
    assert deploy(SYNTHRALOS_API_KEY="") == 1
    assert "SYNTHRALOS_API_KEY" in capsys.readouterr().err


def test_a_pack_that_does_not_reach_synthralos_is_told(deploy: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(SYNTHRALOS_API_KEY="sk-syn-nobodys") == 1
    assert "unauthorized" in capsys.readouterr().err


def test_what_is_not_committed_is_not_published(deploy: Deployment, checkout: Path) -> None:
    (checkout / "stackstorm" / "pack.yaml").write_text("")
    assert deploy() == 1
    assert not deploy.repository.exists()


def test_a_folder_that_holds_something_else_is_left_alone(deploy: Deployment) -> None:
    deploy.repository.mkdir()
    (deploy.repository / "mine.txt").write_text("mine")
    assert deploy() == 1
    assert [path.name for path in deploy.repository.iterdir()] == ["mine.txt"]
