"""The StackStorm pack's files: the forms that StackStorm demands, and that everything they name is there.

StackStorm itself accepts an action that is nowhere, a parameter that `run()` does not take and a variable that nobody
sets; they are found when somebody needs them.
"""

import ast
import json
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from scripts import pack_triggers
from synthralos.domain.repairs import WORKFLOWS as REPAIRS
from synthralos.domain.repairs import IncidentAct
from tests.fakes.stackstorm_schemas import FILES, PACK, as_draft4, documents, trigger_types

ROOT = PACK.parent
OPENAPI: dict[str, Any] = json.loads((ROOT / "contracts" / "openapi.json").read_text("utf-8"))

ELSEWHERE = {"core.announcement": {"route", "message"}}
"""Actions of StackStorm itself, and their parameters."""

ACTIONS = {f"synthralos.{path.stem}": document for path, document in documents("actions/*.yaml").items()}
PYTHON = {ref: document for ref, document in ACTIONS.items() if document["runner_type"] == "python-script"}
WORKFLOWS = {ref: document for ref, document in ACTIONS.items() if document["runner_type"] == "orquesta"}
SOURCES = sorted(PACK.rglob("*.py"))


def parameters(ref: str) -> set[str]:
    """What an action takes; raises `KeyError` where there is none."""
    return ELSEWHERE[ref] if ref in ELSEWHERE else set(ACTIONS[ref]["parameters"])


def required(ref: str) -> set[str]:
    """What it has to be given."""
    known = {} if ref in ELSEWHERE else ACTIONS[ref]["parameters"]
    return {name for name, each in known.items() if each.get("required")}


def run_of(ref: str) -> ast.FunctionDef:
    """The `run` of a python action."""
    tree = ast.parse((PACK / "actions" / ACTIONS[ref]["entry_point"]).read_text("utf-8"))
    name = "".join(part.capitalize() for part in ref.removeprefix("synthralos.").split("_"))
    [found] = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name]
    [run] = [each for each in found.body if isinstance(each, ast.FunctionDef) and each.name == "run"]
    return run


def tasks(ref: str) -> dict[str, Any]:
    """The tasks of a workflow."""
    workflow = yaml.safe_load((PACK / "actions" / ACTIONS[ref]["entry_point"]).read_text("utf-8"))
    found: dict[str, Any] = workflow["tasks"]
    return found


@pytest.mark.parametrize("pattern", FILES)
def test_files_have_the_form_that_stackstorm_demands(pattern: str) -> None:
    validator = jsonschema_rs.validator_for({"type": "object", **FILES[pattern]})
    for path, document in documents(pattern).items():
        wrong = [f"{path.name}: {error.instance_path}: {error.message}" for error in validator.iter_errors(document)]
        assert wrong == []


def test_a_file_is_named_as_what_it_holds() -> None:
    for folder in ("actions", "aliases", "rules", "triggers"):
        for path, document in documents(f"{folder}/*.yaml").items():
            assert document["name"] == path.stem
    assert {path.stem for path in (PACK / "actions").glob("*.py")} == {ref.partition(".")[2] for ref in PYTHON}


def test_the_pack_has_what_the_exchange_asks_for() -> None:
    width, height = struct.unpack(">II", (PACK / "icon.png").read_bytes()[16:24])
    assert (width, height) == (64, 64)
    assert (PACK / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    version = yaml.safe_load((PACK / "pack.yaml").read_text())["version"]
    assert f"## {version}" in (PACK / "CHANGES.md").read_text()
    needed = [line for line in (PACK / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert [line for line in needed if "==" not in line] == []
    for path in (each for each in PACK.rglob("*") if each.suffix in (".py", ".yaml", ".md", ".txt", ".example")):
        # StackStorm reads them in whatever encoding its service was started with.
        assert path.read_text("utf-8").isascii(), path


def test_the_example_of_a_configuration_is_one() -> None:
    [schema] = documents("config.schema.yaml").values()
    closed = as_draft4({"type": "object", "properties": schema, "additionalProperties": False})
    example = yaml.safe_load((PACK / "synthralos.yaml.example").read_text())
    jsonschema_rs.Draft4Validator(closed).validate(example)
    assert set(example) == set(schema)
    assert schema["api_key"]["secret"] is True


def test_python_actions_take_what_their_metadata_declares() -> None:
    assert len(PYTHON) >= 17
    for ref, document in PYTHON.items():
        run = run_of(ref)
        names = [each.arg for each in run.args.args][1:]
        with_defaults = set(names[len(names) - len(run.args.defaults) :])
        assert set(names) == parameters(ref), ref
        # StackStorm hands over None for what was left out; what has no default has to be required.
        assert set(names) - with_defaults == required(ref), ref
        assert [each.id for each in run.decorator_list if isinstance(each, ast.Name)] == ["told"], ref
        assert document["entry_point"] == f"{ref.partition('.')[2]}.py"


def test_workflows_take_what_their_action_declares() -> None:
    for ref, document in WORKFLOWS.items():
        workflow = yaml.safe_load((PACK / "actions" / document["entry_point"]).read_text())
        assert set(workflow["input"]) == parameters(ref), ref
        assert {"outcome", "state", "detail"} <= {name for each in workflow["output"] for name in each}, ref


def test_tasks_call_actions_that_there_are_with_what_they_take() -> None:
    for ref in WORKFLOWS:
        for name, task in tasks(ref).items():
            given = set(task.get("input", ()))
            assert required(task["action"]) <= given <= parameters(task["action"]), (ref, name)


def test_tasks_go_on_to_tasks_that_there_are_and_every_end_is_told() -> None:
    for ref in WORKFLOWS:
        found = tasks(ref)
        following = {name: {each["do"] for each in task["next"]} for name, task in found.items()}
        reached = set().union(*following.values())
        assert reached <= set(found) | {"fail", "noop"}, ref
        assert set(found) - reached == {"look"}, ref
        assert {name for name, after in following.items() if after & {"fail", "noop"}} == {"report", "report_failure"}
        assert following["report_failure"] == {"fail"}
        for name, task in found.items():
            if task["action"].startswith("synthralos."):
                assert any("failed()" in each["when"] for each in task["next"]), (ref, name)


def test_rules_answer_triggers_that_there_are_with_fields_that_these_have() -> None:
    for path, rule in documents("rules/*.yaml").items():
        fields = trigger_types()[rule["trigger"]["type"]]["properties"]
        named = {key.partition("#")[0] for key in rule.get("criteria", {})}
        named |= {f"trigger.{name}" for name in re.findall(r"trigger\.(\w+)", json.dumps(rule["action"]["parameters"]))}
        assert named <= {f"trigger.{name}" for name in fields}, path.name
        for key, criterion in rule.get("criteria", {}).items():
            choices = fields[key.partition("#")[0].removeprefix("trigger.")].get("enum")
            if criterion["type"] == "inside" and choices:
                assert set(criterion["pattern"]) <= set(choices), path.name
        given = set(rule["action"]["parameters"])
        assert required(rule["action"]["ref"]) <= given <= parameters(rule["action"]["ref"]), path.name
        # What changes something is the site's to switch on, and stops somewhere.
        if rule["action"]["ref"] != "core.announcement":
            assert rule["enabled"] is False
            assert rule["criteria"]["trigger.attempts"]["type"] == "lessthan"


def test_aliases_give_actions_what_they_take() -> None:
    for path, alias in documents("aliases/*.yaml").items():
        for form in alias["formats"]:
            [text] = [form] if isinstance(form, str) else form["representation"]
            given = set(re.findall(r"{{\s*(\w+)\s*}}", text)) | set(alias.get("immutable_parameters", {}))
            assert required(alias["action_ref"]) <= given <= parameters(alias["action_ref"]), path.name


def test_a_command_belongs_to_one_alias() -> None:
    patterns = {}
    for path, alias in documents("aliases/*.yaml").items():
        [form] = alias["formats"]
        text = form if isinstance(form, str) else form["representation"][0]
        patterns[path.stem] = re.compile(re.sub(r"{{\s*\w+\s*}}", "(.+?)", text) + r"\s*$")
    for name, pattern in patterns.items():
        command = re.sub(r"\(\.\+\?\)", "x1", pattern.pattern.removesuffix(r"\s*$")).replace("(", "").replace(")?", "")
        assert [each for each, other in patterns.items() if other.match(command)] == [name], command


def test_policies_limit_actions_that_there_are_by_what_they_take() -> None:
    for path, policy in documents("policies/*.yaml").items():
        assert set(policy["parameters"].get("attributes", ())) <= parameters(policy["resource_ref"]), path.name


def test_choices_are_those_of_the_api() -> None:
    schemas = OPENAPI["components"]["schemas"]
    listing = ACTIONS["synthralos.job_list"]["parameters"]
    for name, view in (("state", "State"), ("stage", "Stage"), ("lane", "Lane")):
        assert listing[name]["enum"] == schemas[view]["enum"]
    for ref in ("synthralos.dead_letters_list", "synthralos.dead_letters_retry", "synthralos.dead_letters_reroute"):
        assert ACTIONS[ref]["parameters"]["failure_class"]["enum"] == schemas["FailureClass"]["enum"]


def test_what_an_incidents_repair_may_be_asked_and_reports_is_what_synthralos_knows() -> None:
    acts = ACTIONS["synthralos.incident_repair"]["parameters"]["act"]
    assert acts["enum"] == list(IncidentAct)
    report = ACTIONS["synthralos.incident_repair_report"]["parameters"]["outcome"]
    assert report["enum"] == OPENAPI["components"]["schemas"]["Reported"]["enum"]
    for ref, workflow in ((f"synthralos.{each.partition('.')[2]}", each) for each in REPAIRS.values()):
        assert ref == workflow
        assert ACTIONS[ref]["runner_type"] == "orquesta"


def test_generated_triggers_are_as_the_contracts_are_now() -> None:
    written = pack_triggers.files()
    lying = {f"triggers/{path.name}" for path in (PACK / "triggers").iterdir()}
    assert lying == {path for path in written if path.startswith("triggers/")}
    for path, text in written.items():
        assert (PACK / path).read_text("utf-8") == text, "make pack writes it anew"


def test_payloads_are_closed_and_need_every_field() -> None:
    for reference, schema in trigger_types().items():
        assert schema["additionalProperties"] is False, reference
        assert all(member["required"] is True for member in schema["properties"].values()), reference


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACK)))
def test_sources_are_of_python_3_8_and_import_nothing_of_ours(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    own = {each.stem for each in SOURCES} | {"lib", "st2common", "st2reactor", "st2tests"}
    for node in ast.walk(tree):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in own or top in sys.stdlib_module_names, name


def test_sources_keep_the_rules_of_the_exchange() -> None:
    done = subprocess.run([str(ROOT / "scripts" / "check-pack")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_nothing_of_the_pack() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert [each for each in included if each.startswith("stackstorm")] == []
