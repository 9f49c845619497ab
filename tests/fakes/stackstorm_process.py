"""Runs the pack's actions and its sensor as StackStorm would: in a process of their own, in the pack's own Python.

Reads a JSON document a line and answers with one: `{"action", "config", "parameters", "execution"}` with the action's
status and result, `{"poll": config, "values", "failing"}` with the triggers that the sensor dispatched and what it
keeps. Runs on Python 3.8; `tests/fakes/stackstorm_pack.py` starts it.
"""

import importlib
import json
import logging
import os
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "stackstorm"


def answer(wanted):
    """What became of one line."""
    os.environ["ST2_ACTION_EXECUTION_ID"] = wanted.get("execution", "")
    if "action" in wanted:
        module = importlib.import_module(wanted["action"])
        name = "".join(part.capitalize() for part in wanted["action"].split("_"))
        status, result = getattr(module, name)(config=wanted["config"]).run(**wanted["parameters"])
        return {"status": status, "result": result}
    return poll(wanted)


def poll(wanted):
    """A sensor that was just started polls once."""
    from failure_sensor import FailureSensor
    from st2tests.base import SensorService

    service = SensorService()
    service.values = wanted["values"]
    if wanted.get("failing") == "reads":
        # StackStorm's own service hands out None for what it failed to read.
        service.get_value = lambda name, local=True: None
    if wanted.get("failing") == "writes":
        service.set_value = refuse
    sensor = FailureSensor(service, wanted["poll"])
    sensor.setup()
    sensor.poll()
    return {"triggers": service.dispatched_triggers, "values": service.values}


def refuse(*args, **more):
    """As StackStorm's client does where its API is away."""
    raise ConnectionError("StackStorm is away")


def main():
    """Serve until the input ends."""
    logging.basicConfig(stream=sys.stderr)
    sys.path[:0] = [str(PACK / "actions"), str(PACK / "sensors"), str(PACK / "tests" / "stubs")]
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
