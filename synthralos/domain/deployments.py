"""Deployments: one model at one provider in one region, with its price, window, abilities and limits."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from synthralos.domain.aliases import EVERYTHING, TIER, Aliases, followed
from synthralos.domain.credentials import named_by
from synthralos.domain.money import Price
from synthralos.domain.residency import declared_by


class Capability(StrEnum):
    """What a request may need of a model. `json_mode`: some JSON; `json_schema`: JSON that a schema constrains."""

    JSON_MODE = "json_mode"
    JSON_SCHEMA = "json_schema"
    TOOLS = "tools"
    VISION = "vision"
    STREAMING = "streaming"
    EMBEDDINGS = "embeddings"
    """It makes vectors of texts, and no answers."""


TAKEN_FOR_GRANTED = frozenset({Capability.STREAMING})
"""What a deployment is taken to have where its entry is silent: entries from before could not declare it."""

IMPLIED: Mapping[Capability, Capability] = {Capability.JSON_MODE: Capability.JSON_SCHEMA}
"""What a declared capability stands for as well: `json_mode` meant both while it was the only one of them."""


class Tier(StrEnum):
    """What class of model it is, from cheap to strong; the free plan gets `economy`."""

    ECONOMY = "economy"
    STANDARD = "standard"
    PREMIUM = "premium"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model at one provider in one region, named `provider/model@region`.

    `adapter` names the wire protocol (a key of the provider table), `base_url` the server,
    `upstream_model` the name that the server knows. `context_window` and `max_output` are in tokens.
    `max_in_flight` bounds the concurrent calls of one worker process. `timeout` is in seconds. `residency` is where
    data is declared to be processed: what the region's name declares where it is not given, None where nothing does.
    `rpm` and `tpm` are the requests and tokens a minute that the provider allows, None where it is not known.
    `abilities` are the `capabilities` that its entry declares and what goes without saying, save what it `lacks`.
    `zero_retention`: the provider is declared to keep nothing of a call. What is not `enabled` gets no calls.
    `credential` names the key or the group of keys that it is called with; without it, `api_key_env` does.
    """

    id: str
    provider: str
    model: str
    region: str
    adapter: str
    upstream_model: str
    base_url: str
    context_window: int
    max_output: int
    price: Price | None
    tier: Tier = Tier.STANDARD
    capabilities: frozenset[Capability] = frozenset()
    api_key_env: str | None = None
    max_in_flight: int = 1000
    timeout: float = 120.0
    weight: int = 100
    options: Mapping[str, object] = field(default_factory=dict)
    residency: str | None = None
    zero_retention: bool = False
    enabled: bool = True
    rpm: int | None = None
    tpm: int | None = None
    credential: str | None = None
    lacks: frozenset[Capability] = frozenset()
    abilities: frozenset[Capability] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        implied = {IMPLIED[capability] for capability in self.capabilities if capability in IMPLIED}
        abilities = (self.capabilities | TAKEN_FOR_GRANTED | implied) - self.lacks
        object.__setattr__(self, "abilities", abilities)
        if self.residency is None:
            object.__setattr__(self, "residency", declared_by(self.region))

    @property
    def wanted_credential(self) -> str | None:
        """The credential, or the group of credentials, that it is called with; None: it needs none."""
        return self.credential or (None if self.api_key_env is None else named_by(self.api_key_env))

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors. Such a deployment takes no chats, and no other one takes embeddings."""
        return Capability.EMBEDDINGS in self.capabilities

    @property
    def model_name(self) -> str:
        """What a request asks for: `provider/model`, whichever the region."""
        return f"{self.provider}/{self.model}"


class Catalog:
    """All deployments, by id. A request's `model` may be `auto`, `provider/model`, a deployment's id, or an alias."""

    def __init__(self, deployments: list[Deployment], aliases: Aliases | None = None) -> None:
        """Of `aliases`, what leads nowhere stands for nothing: `check_aliases` refuses it beforehand."""
        self._by_id = {deployment.id: deployment for deployment in deployments}
        if len(self._by_id) != len(deployments):
            raise ValueError("two deployments of the catalog have the same id")
        self._aliases = dict(aliases or {})
        named: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            for name in names_of(deployment):
                named.setdefault(name, []).append(deployment)
        self._named: dict[str, tuple[Deployment, ...]] = {name: tuple(found) for name, found in named.items()}
        # A name that a deployment has is that deployment's, whatever was called so before it came.
        self._named |= {name: self._meant_by(name) for name in self._aliases if name not in named}
        self._named[EVERYTHING] = tuple(deployments)

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def names(self) -> Collection[str]:
        """Everything that a request's `model` may be."""
        return self._named.keys()

    @property
    def aliases(self) -> Mapping[str, list[str]]:
        """The ids of the deployments that each alias stands for."""
        return {alias: [deployment.id for deployment in self.matching(alias)] for alias in self._aliases}

    def get(self, deployment_id: str) -> Deployment | None:
        """The deployment of that id, if the catalog has it."""
        return self._by_id.get(deployment_id)

    def matching(self, model: str) -> tuple[Deployment, ...]:
        """The deployments that `model` may mean, in the catalog's order; empty where the model is unknown."""
        return self._named.get(model, ())

    def knows(self, model: str) -> bool:
        """Whether any deployment answers to `model`."""
        return bool(self.matching(model))

    def _meant_by(self, alias: str) -> tuple[Deployment, ...]:
        meant = followed(alias, self._aliases)
        return tuple(d for d in self if f"{TIER}{d.tier}" in meant or not meant.isdisjoint(names_of(d)))


def names_of(deployment: Deployment) -> frozenset[str]:
    """The names by which a request may ask for a deployment, besides aliases."""
    return frozenset({deployment.id, deployment.model_name, deployment.model})
