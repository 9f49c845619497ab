"""Installs the pack of `stackstorm/` into a running StackStorm, configures it, and tries it.

    ST2_API_URL=https://st2.example.com/api/v1 ST2_API_KEY=… \\
    SYNTHRALOS_URL=https://synthralos.example.com SYNTHRALOS_API_KEY=sk-syn-… \\
    scripts/deploy-pack --repository git@git.example.com:ops/stackstorm-synthralos.git

StackStorm installs packs from git repositories whose root is the pack. So what HEAD has in `stackstorm/` becomes a
commit of such a repository's branch, and StackStorm is told to install that commit. Doing it again changes nothing that
is as it should be. Secrets come from the environment alone.
"""

import argparse
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.stackstorm_api import DeployError, Refused, StackStorm

ROOT = Path(__file__).resolve().parents[1]
PACK = "synthralos"
SECRET = "synthralos_api_key"
"""Its name in StackStorm's datastore, where it lies encrypted."""

SENSOR = f"{PACK}.FailureSensor"
VARIABLES = {
    "ST2_API_URL": "StackStorm's API with its version, such as https://st2.example.com/api/v1",
    "ST2_API_KEY": "a key of StackStorm: st2 apikey create",
    "SYNTHRALOS_URL": "SynthralOS as StackStorm reaches it",
    "SYNTHRALOS_API_KEY": "a key for the pack: synthralos keys create",
}


class Published(NamedTuple):
    """Where the pack lies for StackStorm, and what it holds."""

    reference: str
    version: str
    actions: frozenset[str]


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    options = _options().parse_args(arguments)
    try:
        missing = [f"{name} ({what})" for name, what in VARIABLES.items() if not environ.get(name)]
        if missing:
            raise DeployError("Set in the environment: " + "; ".join(missing) + ".")
        published = publish(ROOT, options.repository, options.branch, options.pack_url)
        print(f"published   {_without_secrets(published.reference)}")
        context = ssl.create_default_context(cafile=environ.get("ST2_CACERT") or None)
        stackstorm = StackStorm(environ["ST2_API_URL"], environ["ST2_API_KEY"], context)
        install(stackstorm, published, options.timeout)
        print(f"installed   {PACK} {published.version}, {len(published.actions)} actions")
        configure(stackstorm, environ["SYNTHRALOS_URL"], environ["SYNTHRALOS_API_KEY"], options.ca_path)
        print("configured  the key is in StackStorm's datastore, encrypted; the sensor was started anew")
        if not options.no_check:
            print(f"checked     {check(stackstorm, options.timeout)}")
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def publish(root: Path, repository: str, branch: str, pack_url: str | None) -> Published:
    """Have the pack of HEAD as the tip of a branch; a folder that is not there becomes a repository."""
    if _git(root, "status", "--porcelain", "--", "stackstorm"):
        raise DeployError("stackstorm/ has changes that are not committed: what is published is HEAD's.")
    local = "://" not in repository and not re.match(r"[^/]+@[^/]+:", repository)
    if local:
        repository = str(Path(repository).absolute())
        _make_repository(Path(repository), branch)
    if "=" in (pack_url or repository):
        raise DeployError("StackStorm takes = in an address for the beginning of a version: use another address.")
    tree = _git(root, "rev-parse", "HEAD:stackstorm")
    version = re.search(r'^version: "(.+)"$', _git(root, "show", "HEAD:stackstorm/pack.yaml"), re.M)
    assert version is not None, "pack.yaml has no version"
    commit = _published_commit(root, repository, branch, tree, version.group(1))
    files = _git(root, "ls-tree", "--name-only", "HEAD:stackstorm/actions").splitlines()
    actions = frozenset(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))
    address = pack_url or (f"file://{repository}" if local else repository)
    return Published(f"{address}={commit}", version.group(1), actions)


def _published_commit(root: Path, repository: str, branch: str, tree: str, version: str) -> str:
    """The commit on the branch that has that tree: the tip if it does already, else a new one after it."""
    tip = _git(root, "ls-remote", repository, f"refs/heads/{branch}").split("\t")[0]
    parents: list[str] = []
    if tip:
        _git(root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", repository, f"refs/heads/{branch}")
        if _git(root, "rev-parse", f"{tip}^{{tree}}") == tree:
            return tip
        parents = ["-p", tip]
    head = _git(root, "rev-parse", "HEAD")
    who = ["-c", "user.name=SynthralOS", "-c", "user.email=synthralos@localhost"]
    commit = _git(root, *who, "commit-tree", tree, *parents, "-m", f"Pack {version} of {head}")
    _git(root, "push", "--quiet", repository, f"{commit}:refs/heads/{branch}")
    return commit


def _make_repository(folder: Path, branch: str) -> None:
    # Not a bare one: StackStorm copies a folder without .git as it is, which for a bare repository is no pack.
    if (folder / ".git").is_dir():
        return
    if folder.exists() and any(folder.iterdir()):
        raise DeployError(f"{folder} is no repository with a work tree, and not empty.")
    folder.mkdir(parents=True, exist_ok=True)
    _git(folder, "init", "--quiet", "--initial-branch", branch)
    _git(folder, "config", "receive.denyCurrentBranch", "updateInstead")


def install(stackstorm: StackStorm, published: Published, timeout: float) -> None:
    """Have StackStorm install what was published; returns when all of it is there."""
    accepted = stackstorm.post("/packs/install", {"packs": [published.reference]})
    done = stackstorm.wait(accepted["execution_id"], timeout)
    if done["status"] != "succeeded":
        told = stackstorm.failures(done["id"]) or [f"execution {done['id']}: {done.get('result')}"]
        raise DeployError(f"The installation is {done['status']}.\n" + "\n".join(told))
    pack = stackstorm.get(f"/packs/{PACK}")
    if pack["version"] != published.version:
        raise DeployError(f"StackStorm has version {pack['version']} of the pack, not {published.version}.")
    there = {action["name"] for action in stackstorm.get("/actions", {"pack": PACK, "limit": 100})}
    if missing := published.actions - there:
        raise DeployError(f"StackStorm did not register these actions: {', '.join(sorted(missing))}.")


def configure(stackstorm: StackStorm, url: str, key: str, ca_path: str | None) -> None:
    """Store the key and the pack's configuration, whose other values stay; the sensor begins anew with them."""
    secret = {"name": SECRET, "value": key, "secret": True, "scope": "system"}
    try:
        stackstorm.put(f"/keys/{SECRET}", secret)
    except Refused as error:
        if error.status == 400:
            raise DeployError(
                f"{error}\nSecrets need a key of StackStorm's own: st2-generate-symmetric-crypto-key."
            ) from None
        raise
    known = stackstorm.find(f"/configs/{PACK}")
    values = dict((known or {}).get("values") or {})
    values |= {"url": url, "api_key": "{{ st2kv.system." + SECRET + " }}"}
    if ca_path:
        values["ca_path"] = ca_path
    stackstorm.put(f"/configs/{PACK}", values)
    sensor = stackstorm.get(f"/sensortypes/{SENSOR}")
    if sensor["enabled"]:
        # A sensor reads its configuration when it starts.
        for enabled in (False, True):
            stackstorm.put(f"/sensortypes/{SENSOR}", {**sensor, "enabled": enabled})


def check(stackstorm: StackStorm, timeout: float) -> str:
    """Run the pack's health action: what it found."""
    started = stackstorm.post("/executions", {"action": f"{PACK}.health", "parameters": {}})
    done = stackstorm.wait(started["id"], timeout)
    found: dict[str, Any] = (done.get("result") or {}).get("result") or {}
    if done["status"] != "succeeded":
        raise DeployError(f"The pack is installed, but {PACK}.health is {done['status']}: {found.get('error', found)}")
    if not found["ready"]:
        raise DeployError(f"The pack is installed, but SynthralOS is not ready: {found['checks']}")
    return f"SynthralOS is ready, as StackStorm sees it: {found['checks']}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_QUIET})
    if done.returncode != 0:
        shown = " ".join(word for word in arguments if not word.startswith("-"))
        raise DeployError(f"git {shown}: {_without_secrets(done.stderr.strip())}")
    return done.stdout.strip()


_QUIET = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _without_secrets(text: str) -> str:
    """An address may hold a password."""
    return re.sub(r"//[^/@\s]+@", "//…@", text)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy-pack",
        description="Installs the StackStorm pack, configures it, and tries it. Environment: "
        + "; ".join(f"{name}: {what}" for name, what in VARIABLES.items())
        + "; ST2_CACERT: certificates of an authority of your own.",
    )
    parser.add_argument(
        "--repository",
        required=True,
        help="git repository of the pack alone, to push to; or a folder on StackStorm's host",
    )
    parser.add_argument("--branch", default="main", help="its branch (main)")
    parser.add_argument("--pack-url", help="the repository as StackStorm reads it, where that is another address")
    parser.add_argument("--ca-path", help="certificates for SynthralOS' TLS, a file on StackStorm's host")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds that the installation may take (900)")
    parser.add_argument("--no-check", action="store_true", help="do not run the pack's health action at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
