"""Asks the advisory database about every package of a lock file, as far as it can be reached.

Exit 1 means a known vulnerability. A package that nobody could be asked about (no network, a mirror without
advisories) is counted and said, not failed: a check that needs the network would fail for the network's reasons.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def audit(lock: Path) -> dict[str, list[dict[str, Any]]] | None:
    """pip-audit's report on `lock`, by package: "vulnerable", "unknown", "clean"; None when it could not ask at all."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--desc", "off", "--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None
    if not done.stdout.startswith("{"):
        print(done.stderr.strip(), file=sys.stderr)
        return None
    report: dict[str, list[dict[str, Any]]] = {"vulnerable": [], "unknown": [], "clean": []}
    for package in json.loads(done.stdout)["dependencies"]:
        kind = "unknown" if "skip_reason" in package else "vulnerable" if package["vulns"] else "clean"
        report[kind].append(package)
    return report


def main() -> int:
    """Print one line of result, and one per vulnerable package."""
    lock = Path(sys.argv[1])
    report = audit(lock)
    if report is None:
        print(f"{lock}: the advisory database could not be reached; nothing was audited")
        return 0
    for package in report["vulnerable"]:
        ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"{package['name']} {package['version']}: {ids}")
    counts = {kind: len(packages) for kind, packages in report.items()}
    print(f"{lock}: {counts['clean']} clean, {counts['vulnerable']} vulnerable, {counts['unknown']} without an answer")
    return 1 if report["vulnerable"] else 0


if __name__ == "__main__":
    sys.exit(main())
