"""The embedded system as a process: what `synthralos up` runs, without its console output.

Prints the API's URL as one JSON line once it serves, and runs until it is killed.
"""

import json
import sys
import threading

from embedded.system import admin_key, embedded
from pipelines.providers.table import check_deployment
from synthralos.config.settings import load_settings
from synthralos.core import build_core


def main() -> None:
    core = build_core(load_settings(), check_deployment)
    with embedded(core) as url:
        key = admin_key(core, "test")
        sys.stdout.write(json.dumps({"url": url, "key": key.secret}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
