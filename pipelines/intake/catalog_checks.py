"""What only this installation can say about a job: whether its catalog has the models, regions and options named."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from pipelines.intake.classification import UNSAID
from pipelines.intake.errors import MOST_ERRORS, FieldError
from pipelines.intake.schema import AnyJobIn, ConstraintsIn, RerouteIn
from pipelines.providers.table import check_provider_options
from pipelines.route.strategies import STRATEGIES
from pipelines.suggestions import Names
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import CHEAPEST, SAME
from synthralos.domain.residency import Unclassified, home_of


class CatalogChecks:
    """Checks names against one catalog and the strategies.

    `unclassified` is what a job is taken for that says no classification.
    """

    def __init__(self, catalog: Catalog, unclassified: Unclassified = "none") -> None:
        self.catalog, self.unclassified = catalog, unclassified
        self._deployments = Names(d.id for d in catalog)
        self._models = Names(catalog.names)
        self._regions = Names(d.region for d in catalog)
        self._strategies = Names(STRATEGIES)

    def check_job(self, job: AnyJobIn, path: str) -> Iterator[FieldError]:
        """What is wrong with a job's names; `path` is where the job is in the body."""
        if job.model not in self._models:
            yield _unknown(f"{path}model", "is a model that the catalog does not have", job.model, self._models)
        said = None if job.constraints is None else job.constraints.classification
        if said is None and self.unclassified == "refuse":
            yield replace(UNSAID, field=f"{path}{UNSAID.field}")
        if job.constraints is not None:
            yield from self.check_constraints(job.constraints, f"{path}constraints.")
            yield from self._check_repair(job.constraints.repair_model, f"{path}constraints.repair_model")
        if job.provider_options:
            for field, problem in check_provider_options(job.provider_options, self.catalog):
                yield FieldError(f"{path}provider_options.{field}", problem, "change it, or leave it out")

    def check_constraints(self, wanted: ConstraintsIn | RerouteIn, path: str) -> Iterator[FieldError]:
        """What is wrong with the names in constraints."""
        if wanted.region is not None and wanted.region not in self._regions:
            yield _unknown(f"{path}region", "is a region without deployments", wanted.region, self._regions)
        if wanted.strategy is not None and wanted.strategy not in self._strategies:
            yield _unknown(f"{path}strategy", "is not a strategy", wanted.strategy, self._strategies)
        if wanted.pin is not None and wanted.pin not in self._deployments:
            yield _no_deployment(f"{path}pin", wanted.pin, self._deployments)
        unknown = ((n, name) for n, name in enumerate(wanted.exclude or ()) if name not in self._deployments)
        for number, excluded in islice(unknown, MOST_ERRORS):
            yield _no_deployment(f"{path}exclude[{number}]", excluded, self._deployments)

    def _check_repair(self, model: str | None, path: str) -> Iterator[FieldError]:
        if model not in (None, SAME, CHEAPEST) and model not in self._models:
            yield _unknown(path, f"is neither {SAME}, {CHEAPEST}, nor a model of the catalog", model, self._models)

    def check_residency(self, classification: str | None, wanted: RerouteIn) -> Iterator[FieldError]:
        """What of a reroute would send classified data away from where it is bound to."""
        home = home_of(classification)
        if home is None:
            return
        remedy = f"the job's data is classified {classification}: stay where residency is {home}"
        if wanted.region is not None and all(d.residency != home for d in self.catalog if d.region == wanted.region):
            yield FieldError("region", f"must have a deployment whose residency is {home}", remedy)
        pinned = None if wanted.pin is None else self.catalog.get(wanted.pin)
        if pinned is not None and pinned.residency != home:
            yield FieldError("pin", f"must be a deployment whose residency is {home}", remedy)


def _no_deployment(path: str, name: str, known: Names) -> FieldError:
    return _unknown(path, "is a deployment that the catalog does not have", name, known)


def _unknown(path: str, problem: str, name: str, known: Names) -> FieldError:
    near = known.near(name)
    return FieldError(path, problem, f"did you mean {' or '.join(near)}?" if near else f"choose from {known.some}")
