"""Writes the tables of the documentation that stand in the code: transitions, flags, what policies may ask about.

`python -m scripts.doc_tables` says which files are behind and exits 1; `--write` brings them up to date.
"""

import re
import sys
from pathlib import Path

from pipelines.policies import actions, conditions, expressions, operands, patterns, rules
from pipelines.policies.comparisons import OPERATORS
from pipelines.policies.fields import FIELDS
from synthralos.domain.feed_types import FEED_TYPES
from synthralos.domain.flags import FLAGS
from synthralos.domain.states import TRANSITIONS

DOCS = Path(__file__).parent.parent / "docs"


def transitions() -> str:
    """The transition table of `synthralos/domain/states.py`."""
    fenced = {True: "yes", False: ""}
    rows = [
        f"| `{name}` | {', '.join(sorted(rule.sources))} | {rule.target} | {fenced[rule.fenced]} | {rule.meaning} |"
        for name, rule in TRANSITIONS.items()
    ]
    return "\n".join(["| transition | from | to | fenced | when |", "|---|---|---|---|---|", *rows])


def flags() -> str:
    """The feature flags of `synthralos/domain/flags.py`."""
    rows = [
        f"| `{flag}` | {'on' if facts.default else 'off'} | {facts.on} | {facts.off} | {facts.waits_for or ''} |"
        for flag, facts in FLAGS.items()
    ]
    return "\n".join(["| flag | default | on | off | waits for |", "|---|---|---|---|---|", *rows])


def policy_fields() -> str:
    """The fields of `pipelines/policies/fields.py`."""
    rows = [
        f"| `{'metadata.NAME' if name == 'metadata' else name}` | {field.kind} | {field.unit} | {field.description} |"
        for name, field in FIELDS.items()
    ]
    return "\n".join(["| field | values | unit | what it is |", "|---|---|---|---|", *rows])


def policy_operators() -> str:
    """What may be asked of each kind of values, by `pipelines/policies/comparisons.py`."""
    rows = [f"| {kind} | {', '.join(f'`{op}`' for op in sorted(known))} |" for kind, known in OPERATORS.items()]
    return "\n".join(["| values | operators |", "|---|---|", *rows])


def policy_bounds() -> str:
    """The bounds of policy sets, where they stand in the code."""
    bounds = {
        "rules of a set": rules.MOST_RULES,
        "conditions of a rule, with those that they are in": conditions.MOST_CONDITIONS,
        "levels of conditions in one another": conditions.MOST_DEPTH,
        "values of a list (`in`, `not_in`)": operands.MOST_VALUES,
        "characters of a text to compare with": operands.MOST_CHARACTERS,
        "names in an action (regions, models, guards)": actions.MOST_NAMES,
        "characters of a regular expression": patterns.MOST_CHARACTERS,
        "characters and classes in it, repetitions written out": patterns.MOST_STEPS,
        "characters of a CEL expression": expressions.MOST_CHARACTERS,
    }
    rows = [f"| {what} | {most:,} |" for what, most in bounds.items()]
    return "\n".join(["| what | at most |", "|---|---|", *rows])


def feed_types() -> str:
    """The types of the event stream, by `synthralos/domain/feed_types.py`."""
    rows = [
        f"| `{name}` | {' '.join((model.__doc__ or '').split()).replace('|', '/')} | "
        f"{', '.join(f'`{field.alias or key}`' for key, field in model.model_fields.items())} |"
        for name, model in FEED_TYPES.items()
    ]
    return "\n".join(["| type | when | members of `data` |", "|---|---|---|", *rows])


TABLES = {
    "feed_types": (DOCS / "events.md", feed_types),
    "policy_fields": (DOCS / "policies.md", policy_fields),
    "policy_operators": (DOCS / "policies.md", policy_operators),
    "policy_bounds": (DOCS / "policies.md", policy_bounds),
    "transitions": (DOCS / "internals.md", transitions),
    "flags": (DOCS / "configuration.md", flags),
}


def renewed(name: str) -> tuple[Path, str, str]:
    """(file, its text now, its text with the table `name` up to date)."""
    path, render = TABLES[name]
    text = path.read_text(encoding="utf-8")
    block = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    return path, text, block.sub(lambda _: f"<!-- {name} -->\n{render()}\n<!-- /{name} -->", text)


def main() -> int:
    """Check, or write with `--write`."""
    behind = []
    for name in TABLES:
        path, now, then = renewed(name)
        if now != then:
            behind.append(f"{path.name}: {name}")
            if "--write" in sys.argv[1:]:
                path.write_text(then, encoding="utf-8")
    if behind and "--write" not in sys.argv[1:]:
        print("behind the code:", ", ".join(behind), "- run: python -m scripts.doc_tables --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
