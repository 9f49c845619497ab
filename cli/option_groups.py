"""Options in groups: a dataclass of options is one parameter of a command's function, and an option for each field."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_type_hints

from typer.models import OptionInfo

_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its groups taken apart. A group's `panel` is the heading of its options in the help."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: kind(**{each.name: given.pop(each.name) for each in fields(kind)}) for name, kind in groups.items()
        }
        command(**given, **made)

    parameters = [
        taken
        for name, parameter in inspect.signature(command).parameters.items()
        for taken in (
            _options(groups[name]) if name in groups else [parameter.replace(kind=_BY_NAME, annotation=hints[name])]
        )
    ]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def _options(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        kind, option = get_args(hints[each.name])
        assert isinstance(option, OptionInfo)
        assert each.default is not MISSING
        shown = copy(option)
        shown.rich_help_panel = group.panel
        yield inspect.Parameter(each.name, _BY_NAME, default=each.default, annotation=Annotated[kind, shown])
