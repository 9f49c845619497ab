"""What is said of an alias that cannot be: the field, the problem, and what was perhaps meant."""

from pipelines.intake.errors import FieldError
from pipelines.suggestions import Names
from synthralos.domain.aliases import AliasError, Wrong
from synthralos.domain.deployments import Catalog


def alias_error(error: AliasError, catalog: Catalog, subject: str) -> FieldError:
    """The error as it is told to whom changes that alias. `subject` is the field that names it."""
    if error.kind is Wrong.TARGET:
        return FieldError(f"targets[{error.number}]", error.reason, _remedy(error, catalog))
    problem, _, remedy = error.reason.partition(": ")
    if error.kind is Wrong.CIRCLE:
        return FieldError("targets", error.reason, "leave out the target that leads back")
    return FieldError(subject if error.kind is Wrong.NAME else "targets", problem, remedy)


def left_without(error: AliasError, subject: str) -> FieldError:
    """The error as it is told to whom takes away what the alias stands for. `subject` is the field that names that."""
    problem = f"is what the alias {error.path} stands for: without it, {error.reason}"
    return FieldError(subject, problem, f"change or remove the alias {error.alias} first")


def _remedy(error: AliasError, catalog: Catalog) -> str:
    if not error.target:
        return "name a model, a deployment, another alias, or tier: with a tier"
    names = Names(catalog.names)
    near = names.near(error.target)
    return f"did you mean {' or '.join(near)}?" if near else f"choose from {names.some}"
