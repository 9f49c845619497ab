import pytest

from synthralos.config.credentials import Credentials
from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.deployments import Catalog
from tests.fakes.calls import deployment

OPENAI = deployment(api_key_env="OPENAI_API_KEY", id="openai/a@us")
OTHER = deployment(api_key_env="OTHER_KEY", id="openai/b@us")
LOCAL = deployment(api_key_env=None, id="openai/c@us")
SANDBOX = deployment("sandbox")


def credentials(*deployments, environ=None, **settings) -> Credentials:  # type: ignore[no-untyped-def]
    return Credentials.from_settings(Settings(**settings), environ or {}, Catalog(list(deployments)))


@pytest.fixture(autouse=True)
def no_keys_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "SANDBOX"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_comes_from_the_settings_or_from_the_variable_that_the_deployment_names() -> None:
    ours = credentials(OPENAI, OTHER, openai_api_key="sk-one", environ={"OTHER_KEY": " sk-two\n"})
    assert ours.key_for(OPENAI) == "sk-one"
    assert ours.key_for(OTHER) == "sk-two"


@pytest.mark.parametrize("environ", [{}, {"OTHER_KEY": ""}, {"OTHER_KEY": "  "}])
def test_a_deployment_without_its_key_is_not_offered_and_the_reason_names_the_variable(environ: dict[str, str]) -> None:
    ours = credentials(OTHER, environ=environ)
    assert ours.key_for(OTHER) is None
    assert "OTHER_KEY" in (ours.why_not_offered(OTHER) or "")


def test_a_deployment_that_needs_no_key_is_offered() -> None:
    ours = credentials(LOCAL)
    assert ours.why_not_offered(LOCAL) is None
    assert ours.key_for(LOCAL) is None


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
