"""How much of several jobs one call for vectors may hold.

OpenAI takes 2,048 texts and 300,000 tokens in a call, the Gemini API 100 texts. Of a server that only speaks the
protocol nobody knows: 32 is what Text Embeddings Inference takes unless it is told otherwise. The deployment's option
`joint_inputs` says it better. Sources: OpenAI API reference, "Create embeddings"; Gemini API, "Embeddings"; Text
Embeddings Inference, "CLI arguments".
"""

from typing import NamedTuple

from pipelines.providers import google_embeddings
from pipelines.providers.openai_address import is_openai
from pipelines.providers.options import MOST_JOINT_INPUTS, joint_inputs
from synthralos.domain.deployments import Deployment

MOST_BYTES = 128 * 1024
"""Of texts, in UTF-8. A token has a byte at least, so no limit of tokens is passed; and more would gain nothing."""

_OTHERS = 32


class JointLimits(NamedTuple):
    """Texts, and bytes of them, that one call may hold."""

    inputs: int
    bytes: int = MOST_BYTES


def joint_limits(deployment: Deployment) -> JointLimits:
    """What a call that several jobs share may hold at the deployment."""
    return JointLimits(min(_protocol(deployment), joint_inputs(deployment.options) or _usual(deployment)))


def _protocol(deployment: Deployment) -> int:
    return google_embeddings.MOST_INPUTS if deployment.adapter == "google" else MOST_JOINT_INPUTS


def _usual(deployment: Deployment) -> int:
    return _OTHERS if deployment.adapter == "openai" and not is_openai(deployment) else MOST_JOINT_INPUTS
