"""Conducts a workflow offline, with the engine that StackStorm itself uses, in an environment of its own.

Reads a JSON document a line: `{"workflow": its text, "inputs", "answers": {action: [[succeeded, result] …]}}`; the last
answer of an action is given again and again. Answers with what the engine finds wrong in the workflow, the status, the
output, the errors, and every action that was asked for with its input. `{"template", "values"}` is rendered instead,
with the variables that it names. `tests/fakes/conducting.py` starts it.
"""

import collections
import collections.abc
import fractions
import json
import math
import re
import sys

_FLAG = "(?i)"


def stand_in():
    """What orquesta 1.2 and networkx 1.11 expect of a Python that is older than this one."""
    fractions.gcd = math.gcd
    for name in set(collections.abc.__all__) - set(dir(collections)):
        setattr(collections, name, getattr(collections.abc, name))
    compiled = re._compile

    def tolerant(pattern, flags):
        if isinstance(pattern, str) and _FLAG in pattern[1:]:
            pattern, flags = pattern.replace(_FLAG, ""), flags | re.IGNORECASE
        return compiled(pattern, flags)

    re._compile = tolerant


def conducted(wanted):
    """What becomes of one workflow."""
    from orquesta import conducting, events, statuses
    from orquesta.specs import loader

    spec = loader.get_spec_module("native").instantiate(wanted["workflow"])
    found = spec.inspect()
    conductor = conducting.WorkflowConductor(spec, inputs=wanted["inputs"])
    conductor.request_workflow_status(statuses.RUNNING)
    answers = {action: list(given) for action, given in wanted["answers"].items()}
    asked = []
    tasks = conductor.get_next_tasks()
    while tasks and len(asked) < 1000:
        for task in tasks:
            [action] = task["actions"] or [{"action": "core.noop", "input": {}}]
            asked.append({"task": task["id"], "action": action["action"], "input": action["input"]})
            given = answers.get(action["action"], [[True, {}]])
            succeeded, result = given.pop(0) if len(given) > 1 else given[0]
            status = statuses.SUCCEEDED if succeeded else statuses.FAILED
            for event in (
                events.ActionExecutionEvent(statuses.RUNNING),
                events.ActionExecutionEvent(status, result=result),
            ):
                conductor.update_task_state(task["id"], task["route"], event)
        tasks = conductor.get_next_tasks()
    conductor.render_workflow_output()
    return {
        "inspected": found,
        "status": conductor.get_workflow_status(),
        "output": conductor.get_workflow_output(),
        "errors": conductor.errors,
        "asked": asked,
    }


def rendered(wanted):
    """A chat message as StackStorm writes it, and the variables that its template names."""
    import jinja2
    from jinja2 import meta

    environment = jinja2.Environment()
    names = meta.find_undeclared_variables(environment.parse(wanted["template"]))
    return {"text": environment.from_string(wanted["template"]).render(**wanted["values"]), "names": sorted(names)}


def main():
    """Serve until the input ends."""
    stand_in()
    for line in sys.stdin:
        wanted = json.loads(line)
        answer = rendered(wanted) if "template" in wanted else conducted(wanted)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
