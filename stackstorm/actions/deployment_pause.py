"""A deployment is switched off in the catalog that is in force."""

from lib.base import SynthralosAction, told
from lib.deployments import paused


class DeploymentPause(SynthralosAction):
    """Pauses a deployment; one that is switched off stays so."""

    @told
    def run(self, deployment_id, reason=None):
        """Whether this switched it off, and the deployment afterwards."""
        changed, deployment = paused(self.api, deployment_id, self.reason(reason))
        return {"changed": changed, "deployment": deployment}
