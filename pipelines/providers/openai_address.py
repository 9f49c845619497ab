"""Where a deployment of the OpenAI adapter is, and how it takes its key: OpenAI's form, or Azure's.

Source of Azure's: Azure OpenAI REST API reference, "Data plane inference"; "API version lifecycle" for `/openai/v1`.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pipelines.providers.transport.protocol import HeaderFields
from synthralos.domain.deployments import Deployment

AZURE = "azure_api_version"
"""The option of a deployment at Azure: `v1`, or a dated version, whose paths name the deployment."""

_HOSTS = ("openai.com", "openai.azure.com")
_VERSION = re.compile(r"v1|[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """What the paths of the API are put between, and the headers with the key."""

    base: str
    query: str
    headers: HeaderFields

    def of(self, path: str) -> str:
        """The URL of a path such as `/chat/completions`."""
        return f"{self.base}{path}{self.query}"


def address_of(deployment: Deployment, key: str | None) -> Address:
    """Where to post to; raises `ValueError`, naming the option that is wrong.

    At Azure `base_url` is the resource's endpoint, and `upstream_model` the name that the deployment has there.
    """
    version = azure_version(deployment)
    if version is None:
        bearer = () if key is None else (("Authorization", f"Bearer {key}"),)
        return Address(deployment.base_url, "", bearer)
    headers = () if key is None else (("api-key", key),)
    if version == "v1":
        return Address(f"{deployment.base_url}/openai/v1", "", headers)
    name = quote(deployment.upstream_model, safe="")
    return Address(f"{deployment.base_url}/openai/deployments/{name}", f"?api-version={version}", headers)


def azure_version(deployment: Deployment) -> str | None:
    """The version of Azure's API; None where it is not Azure's, or in OpenAI's own form. Raises `ValueError`."""
    version = deployment.options.get(AZURE)
    if version is None:
        return None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError(f"options.{AZURE}: must be v1, or a date such as 2024-10-21, with -preview where it is one")
    if "/openai" in urlsplit(deployment.base_url).path:
        raise ValueError("base_url: must be the resource's endpoint, without /openai, beside options.azure_api_version")
    return version


def is_openai(deployment: Deployment) -> bool:
    """Whether OpenAI or Azure answers there: both refuse what they do not know."""
    return deployment.options.get(AZURE) is not None or host(deployment).endswith(_HOSTS)


def host(deployment: Deployment) -> str:
    """The name of the deployment's server."""
    return urlsplit(deployment.base_url).hostname or ""
