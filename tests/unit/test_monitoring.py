"""The dashboard, the alerts and the recorded series ask for metrics that there are, and the alerts do what they say."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthralos.domain.breakers import BreakerState
from synthralos.domain.states import Lane, Stage, State
from synthralos.telemetry.families import FAMILIES, Kind
from tests.fakes.promql import Matcher, asked

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/synthralos.json").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for name in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["rule_files"]
    for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
METRICS = {family.name: family for family in FAMILIES}
EVERYWHERE = {"instance", "job"}
OF_PROCESSES = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
VALUES = {
    "lane": set(Lane), "stage": set(Stage), ("synthralos_jobs_ended_total", "state"): set(State),
    ("synthralos_breakers", "state"): set(BreakerState), ("synthralos_slots", "state"): {"used", "most"},
    ("synthralos_attempts_total", "outcome"): {"succeeded", "failed", "cancelled", "lost"},
    ("synthralos_processes", "kind"): {"api", "worker", "scheduler", "exporter"},
}  # fmt: skip


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


EXPRESSIONS = {rule.get("alert") or rule["record"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]
}


def labels_of(metric: str) -> set[str]:
    """The labels of a metric as Prometheus stores it; raises `KeyError` for one that nobody shows."""
    if metric in RECORDED or metric in OF_PROCESSES:
        return EVERYWHERE
    family = METRICS.get(metric) or METRICS[re.sub(r"_(bucket|count|sum)$", "", metric)]
    assert (family.name != metric) == (family.kind is Kind.HISTOGRAM), f"a histogram is asked by its parts: {metric}"
    return {*family.labels, *EVERYWHERE, *(["le"] if metric.endswith("_bucket") else [])}


def may_be(metric: str, matcher: Matcher) -> bool:
    if matcher.label == "le":
        family = METRICS[metric.removesuffix("_bucket")]
        return float(matcher.value) in family.buckets and matcher.value == str(float(matcher.value))
    known = VALUES.get((metric, matcher.label)) or VALUES.get(matcher.label)
    return known is None or set(matcher.values) <= known


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_an_expression_asks_for_metrics_and_labels_that_there_are(expression: str) -> None:
    found = asked(expression.replace("$__rate_interval", "5m"))
    assert found.metrics
    for metric, matchers in found.metrics:
        assert {matcher.label for matcher in matchers} <= labels_of(metric), metric
        assert all(may_be(metric, matcher) for matcher in matchers), (metric, matchers)
    assert found.grouped <= set.union(*(labels_of(metric) for metric, _ in found.metrics))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_is_wrong(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]


def test_each_alert_has_its_line_in_the_documentation() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    documented = re.findall(r"^\| `(Synthralos\w+)` \|", text, flags=re.M)
    assert sorted(documented) == sorted(alert["alert"] for alert in ALERTS)


def test_each_alert_is_tried_or_is_a_plain_threshold() -> None:
    """What cannot be seen at a glance has its cases in tests.yml."""
    tried = set(re.findall(r"alertname: (\w+)", (PROMETHEUS / "tests.yml").read_text()))
    intricate = {each["alert"] for each in ALERTS if re.search(r"\b(or|unless|and)\b", each["expr"])}
    assert intricate <= tried


def test_the_panels_of_the_dashboard_have_titles_and_places_of_their_own() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI"):
        pytest.fail("promtool is missing: .ci/run installs it with Debian's package prometheus")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


@pytest.mark.parametrize("check", ["check config prometheus.yml", "test rules tests.yml"])
def test_prometheus_takes_the_configuration_and_the_alerts_do_what_they_say(promtool: str, check: str) -> None:
    done = subprocess.run([promtool, *check.split()], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_every_expression_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": target["expr"].replace("$__rate_interval", "5m")}
        for number, target in enumerate(target for panel in panels() for target in panel["targets"])
    ]
    rules = tmp_path / "panels.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run([promtool, "check", "rules", str(rules)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
