"""The files around the code agree with the code: settings, commands, targets, locks."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from synthralos.config.catalog import load_catalog
from synthralos.config.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = tomllib.loads((ROOT / "client/pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "synthralos"}
LASTING = {name: service for name, service in SERVICES.items() if name != "migrate"}
LOCKS = (
    "requirements.lock",
    "requirements-server.lock",
    "requirements-dev.lock",
    "guardrails_sidecar/requirements.lock",
    "tests/orquesta/requirements.lock",
)
KEYS = {deployment.api_key_env for deployment in load_catalog(None) if deployment.api_key_env}
SETTINGS = {name.upper() for name in Settings.model_fields}


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def final_stage() -> list[tuple[str, str]]:
    instructions = dockerfile()
    start = max(position for position, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[start:]


def pins(lock: str) -> dict[str, str]:
    """The version of each package of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / lock).read_text(), flags=re.M))


def package(requirement: str) -> str:
    """The name of a requirement as lock files write it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def cli_commands() -> set[str]:
    from cli.main import app

    command = typer.main.get_command(app)
    return set(command.commands)  # type: ignore[attr-defined]


def make_targets() -> dict[str, str]:
    """The targets of the Makefile that people name, with their help."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), flags=re.M))


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]


# Compose and image


def test_compose_has_every_process_and_every_server() -> None:
    assert {"api", "worker", "scheduler", "migrate", "postgres", "rabbitmq", "redis"} <= set(SERVICES)


@pytest.mark.parametrize("name", OURS)
def test_compose_names_only_settings_that_exist(name: str) -> None:
    assert set(OURS[name]["environment"]) <= SETTINGS | KEYS


def test_compose_builds_the_image_once_and_all_others_wait_for_it() -> None:
    [builder] = [name for name, service in OURS.items() if "build" in service]
    assert all(builder in service["depends_on"] for name, service in OURS.items() if name != builder)


def test_compose_pins_the_images_of_others_to_a_minor_version_at_least() -> None:
    images = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-|$)", image) for image in images.values()), images


@pytest.mark.parametrize("name", OURS)
def test_compose_passes_the_key_of_every_provider_of_the_catalog(name: str) -> None:
    assert set(OURS[name]["environment"]) >= KEYS


def test_the_example_names_everything_that_compose_takes_from_outside() -> None:
    passed = {variable for service in OURS.values() for variable, value in service["environment"].items() if not value}
    assert passed <= set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.M))


@pytest.mark.parametrize("name", OURS)
def test_compose_values_are_settings_that_load(name: str) -> None:
    passwordless = {
        variable.lower(): re.sub(r"\$\{[^}]+\}", "secret", value)
        for variable, value in OURS[name]["environment"].items()
        if value is not None
    }
    Settings(**passwordless)  # raises on a value that the processes would refuse


@pytest.mark.parametrize("name", OURS)
def test_compose_commands_exist(name: str) -> None:
    assert OURS[name]["command"][0] in cli_commands()


@pytest.mark.parametrize("name", LASTING)
def test_compose_services_that_last_have_a_health_check_and_restart(name: str) -> None:
    assert LASTING[name]["healthcheck"]["test"]
    assert LASTING[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_compose_health_checks_run_commands_that_exist(name: str) -> None:
    check = OURS[name].get("healthcheck", {}).get("test", [])
    if check[1:2] == ["synthralos"]:
        assert check[2] in cli_commands()
        assert check[3] in {"worker", "scheduler", "exporter"}


@pytest.mark.parametrize("name", ["api", "worker", "scheduler"])
def test_compose_waits_longer_than_the_processes_drain(name: str) -> None:
    assert seconds(OURS[name]["stop_grace_period"]) > float(OURS[name]["environment"]["DRAIN_TIMEOUT"])


@pytest.mark.parametrize("name", SERVICES)
def test_compose_publishes_on_the_loopback_address_only(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_compose_has_no_password_of_its_own() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASS|AUTH|SECRET|_KEY", variable):
                assert value is None or re.fullmatch(r"\$\{\w+:\?.+\}", value), (name, variable)
            assert not re.search(r":[^/@]+@", re.sub(r"\$\{\w+:\?[^}]+\}", "", str(value))), (name, variable)
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    example = (ROOT / ".env.example").read_text()
    assert asked == set(re.findall(r"^(\w+)=$", example, flags=re.M))


def test_migrations_have_run_before_a_process_of_ours_starts() -> None:
    for name in ("api", "worker", "scheduler"):
        assert OURS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_the_image_runs_our_command_as_a_user_without_rights() -> None:
    instructions = dict(final_stage())
    assert instructions["USER"] not in {"root", "0"}
    assert instructions["ENTRYPOINT"] == '["synthralos"]'
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    assert yaml.safe_load(instructions["CMD"])[0] in cli_commands()


def test_the_image_sets_only_settings_that_exist() -> None:
    variables = {
        assignment.partition("=")[0] for word, rest in final_stage() if word == "ENV" for assignment in rest.split()
    }
    assert {name for name in variables if name != "PATH" and not name.startswith("PYTHON")} <= SETTINGS


def test_the_image_installs_nothing_without_a_hash() -> None:
    installs = [
        line for word, rest in dockerfile() if word == "RUN" for line in rest.split("&&") if "pip install" in line
    ]
    assert installs
    assert all("--require-hashes" in line or ("--no-deps" in line and "--no-index" in line) for line in installs)


def test_the_image_carries_every_package_that_the_project_installs() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    included = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {name for name in included if not name.endswith(".*")}
    assert folders | {"client", "requirements-server.lock", "pyproject.toml", PROJECT["project"]["readme"]} <= allowed


# Locks and packages


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_names_versions_and_hashes_and_nothing_else(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    pin, digest = r"[a-z0-9-]+==[^ ;]+( ; [^\\]+)? \\", r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    assert [line for line in lines if not re.fullmatch(f"{pin}|{digest}", line)] == []
    hashed = [following.startswith("    --hash=") for line, following in pairwise(lines) if "==" in line]
    assert all(hashed)
    assert len(hashed) >= len(pins(lock))


def test_the_three_locks_agree() -> None:
    runtime, server, dev = (pins(f"requirements{kind}.lock").items() for kind in ("", "-server", "-dev"))
    assert runtime <= server <= dev


def test_everything_that_the_project_asks_for_is_locked() -> None:
    groups = PROJECT["dependency-groups"]
    extras = PROJECT["project"]["optional-dependencies"]
    runtime = {package(line) for line in (*PROJECT["project"]["dependencies"], *groups["build"])}
    assert runtime - {CLIENT["project"]["name"]} <= pins("requirements.lock").keys()
    server = {package(line) for extra in ("langfuse", "rudderstack", "otlp", "stackstorm") for line in extras[extra]}
    assert server <= pins("requirements-server.lock").keys()
    assert {package(line) for line in (*groups["dev"], *CLIENT["project"]["dependencies"])} <= pins(LOCKS[2]).keys()
    assert {package(line) for line in groups["guardrails"]} <= pins(LOCKS[3]).keys()
    assert {package(line) for line in groups["orquesta"]} <= pins(LOCKS[4]).keys()


def test_the_client_needs_httpx_alone() -> None:
    assert [package(line) for line in CLIENT["project"]["dependencies"]] == ["httpx"]
    assert (ROOT / "client/synthralos_client/py.typed").is_file()


def test_the_server_asks_for_the_client_of_its_own_version() -> None:
    assert CLIENT["project"]["version"] == PROJECT["project"]["version"]
    assert f"{CLIENT['project']['name']}=={CLIENT['project']['version']}" in PROJECT["project"]["dependencies"]


# What the documents say


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_in(document: Path) -> str:
    """What a document shows as code, in blocks and in lines."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", document.read_text(), flags=re.S))


def test_make_targets_that_the_documents_name_exist() -> None:
    for document in documents():
        named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_in(document)))
        assert named <= {*make_targets(), "help"}, document.name


def test_commands_that_the_documents_name_exist() -> None:
    for document in documents():
        named = set(re.findall(r"(?:^|[`$ /])synthralos ([a-z]+(?:-[a-z]+)*)\b", code_in(document), flags=re.M))
        assert named <= cli_commands(), document.name


def test_files_that_the_documents_link_to_exist() -> None:
    for document in documents():
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text())
        assert [link for link in links if not (document.parent / link).exists()] == [], document.name


def test_every_target_of_the_makefile_has_a_help_text() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.M)
    assert phony
    assert set(phony.group(1).split()) == set(make_targets())


def test_rooms_are_the_ones_that_the_import_rules_and_the_type_checker_know() -> None:
    rooms = set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert rooms == set(PROJECT["tool"]["mypy"]["packages"])
    assert all((ROOT / room).is_dir() or (ROOT / "client" / room).is_dir() for room in rooms)
