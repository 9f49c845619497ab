import os
from pathlib import Path

import pytest

from synthralos.config.credentials import Credentials
from synthralos.config.key_sources import KeySources
from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.deployments import Catalog, Deployment
from tests.fakes.calls import deployment

OPENAI = deployment(api_key_env="OPENAI_API_KEY", id="openai/a@us")
OTHER = deployment(api_key_env="OTHER_KEY", id="openai/b@us")
LOCAL = deployment(api_key_env=None, id="openai/c@us")
SANDBOX = deployment("sandbox")


def credentials(*deployments, environ=None, **settings) -> Credentials:  # type: ignore[no-untyped-def]
    return Credentials.from_settings(Settings(**settings), environ or {}, Catalog(list(deployments)))


def sent_to(ours: Credentials, to: Deployment) -> list[str]:
    """The keys that may be sent to a deployment."""
    found = [ours.key(name) for name in ours.names_for(to)]
    return [key.value.get_secret_value() for key in found if key is not None]


@pytest.fixture(autouse=True)
def no_keys_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "SANDBOX"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_comes_from_the_settings_or_from_the_variable_that_the_deployment_names() -> None:
    ours = credentials(OPENAI, OTHER, openai_api_key="sk-one", environ={"OTHER_KEY": " sk-two\n"})
    assert sent_to(ours, OPENAI) == ["sk-one"]
    assert sent_to(ours, OTHER) == ["sk-two"]


@pytest.mark.parametrize("environ", [{}, {"OTHER_KEY": ""}, {"OTHER_KEY": "  "}])
def test_a_deployment_without_its_key_is_not_offered_and_the_reason_names_the_variable(environ: dict[str, str]) -> None:
    ours = credentials(OTHER, environ=environ)
    assert sent_to(ours, OTHER) == []
    assert "OTHER_KEY" in (ours.why_not_offered(OTHER) or "")


def test_a_deployment_that_needs_no_key_is_offered() -> None:
    ours = credentials(LOCAL)
    assert ours.why_not_offered(LOCAL) is None
    assert sent_to(ours, LOCAL) == []


@pytest.mark.parametrize(
    ("sandbox", "environ", "offered"),
    [
        ("auto", {}, True),
        ("auto", {"OTHER_KEY": "sk"}, False),
        ("on", {"OTHER_KEY": "sk"}, True),
        ("off", {}, False),
    ],
)
def test_the_sandbox_never_answers_beside_real_providers_unless_told_to(
    sandbox: str, environ: dict[str, str], offered: bool
) -> None:
    ours = credentials(OTHER, SANDBOX, environ=environ, sandbox=sandbox)
    assert (ours.why_not_offered(SANDBOX) is None) == offered


def test_a_local_server_without_a_key_is_a_real_provider_too() -> None:
    assert credentials(LOCAL, SANDBOX).why_not_offered(SANDBOX) is not None


def test_keys_never_show() -> None:
    ours = credentials(OTHER, environ={"OTHER_KEY": "sk-secret"})
    assert "sk-secret" not in repr(ours)
    assert "sk-secret" not in repr(vars(ours))


def test_a_key_that_cannot_be_sent_stops_the_start_and_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refusal:
        credentials(OTHER, environ={"OTHER_KEY": "sk-se\ncret"})
    assert "OTHER_KEY" in str(refusal.value)
    assert "sk-se" not in str(refusal.value)


def test_a_provider_has_several_keys_and_an_entry_may_name_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "third").write_text("sk-three\n")
    (tmp_path / "openai.eu").write_text("sk-eu\n")
    (tmp_path / "README.md").write_text("not a key")
    (tmp_path / "unrelated").write_text("not wanted\0")
    environ = {"OPENAI_API_KEY_2": "sk-two", "OPENAI_API_KEY_3_FILE": str(tmp_path / "third")}
    european = deployment(id="openai/eu@eu", credential="openai.eu", api_key_env="OPENAI_API_KEY")
    ours = credentials(OPENAI, european, environ=environ, openai_api_key="sk-one", secrets_dir=tmp_path)
    assert ours.names_for(OPENAI) == ("openai", "openai:2", "openai:3")
    assert sent_to(ours, OPENAI) == ["sk-one", "sk-two", "sk-three"]
    assert sent_to(ours, european) == ["sk-eu"]
    alone = credentials(OPENAI, secrets_dir=tmp_path)
    assert alone.names_for(OPENAI) == ("openai.eu",)


def test_a_variable_of_the_catalog_is_no_further_key_of_another() -> None:
    second = deployment(api_key_env="OPENAI_API_KEY_2", id="openai/b@us")
    ours = credentials(OPENAI, second, environ={"OPENAI_API_KEY": "sk-one", "OPENAI_API_KEY_2": "sk-two"})
    assert (sent_to(ours, OPENAI), sent_to(ours, second)) == (["sk-one"], ["sk-two"])


@pytest.mark.parametrize("content", [b"", b" \n", b"sk\x00one", b"k" * 20_000])
def test_a_file_that_holds_no_key_is_refused_by_name_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "openai").write_bytes(content)
    with pytest.raises(SettingsError) as refusal:
        credentials(OPENAI, secrets_dir=tmp_path)
    assert str(tmp_path / "openai") in str(refusal.value)
    assert "sk" not in str(refusal.value).replace(str(tmp_path), "")


def test_one_credential_with_two_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "openai").write_text("sk-one")
    with pytest.raises(SettingsError, match="two sources"):
        credentials(OPENAI, secrets_dir=tmp_path, openai_api_key="sk-two")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY_FILE"):
        credentials(OPENAI, environ={"OPENAI_API_KEY_FILE": str(tmp_path / "gone")})


def test_files_are_seen_to_change_however_they_are_replaced(tmp_path: Path) -> None:
    for generation in ("one", "two"):
        (tmp_path / generation).mkdir()
        (tmp_path / generation / "openai").write_text(f"sk-{generation}")
    (tmp_path / "mount").mkdir()
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "mount" / "openai").symlink_to("../..data/openai")
    (tmp_path / "file").write_text("sk-file")
    environ = {"OTHER_KEY_FILE": str(tmp_path / "file"), "TRACE_EXPORT_FILE": str(tmp_path / "traces")}
    sources = KeySources(Settings(secrets_dir=tmp_path / "mount"), environ)
    catalog = Catalog([OPENAI, OTHER])

    def read() -> list[str]:
        return sorted(key.value.get_secret_value() for key in sources.read(catalog).values())

    assert read() == ["sk-file", "sk-one"]
    assert not sources.changed()
    (tmp_path / "traces").write_text("grows")
    assert not sources.changed()
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "..data")  # as Kubernetes swaps the directory
    assert sources.changed()
    assert read() == ["sk-file", "sk-two"]
    (tmp_path / "new").write_text("sk-new!")
    os.replace(tmp_path / "new", tmp_path / "file")
    assert sources.changed()
    assert read() == ["sk-new!", "sk-two"]
    (tmp_path / "mount" / "openai").unlink()
    assert sources.changed()
    assert read() == ["sk-new!"]
