"""A deployment is switched on in the catalog that is in force."""

from lib.base import SynthralosAction, told
from lib.deployments import resumed


class DeploymentResume(SynthralosAction):
    """Resumes a deployment; one that is switched on stays so."""

    @told
    def run(self, deployment_id, reason=None):
        """Whether this switched it on, and the deployment afterwards."""
        changed, deployment = resumed(self.api, deployment_id, self.reason(reason))
        return {"changed": changed, "deployment": deployment}
