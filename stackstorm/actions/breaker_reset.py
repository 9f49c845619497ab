"""A circuit breaker is closed, whatever was seen."""

from lib.base import SynthralosAction, told
from lib.synthralos_api import segment


class BreakerReset(SynthralosAction):
    """Closes a breaker: calls are made again within a second. One that is closed stays so."""

    @told
    def run(self, name, reason=None):
        """Whether this closed it, and the breaker afterwards."""
        path = "/api/v1/breakers/" + segment(name)
        before = self.api.get(path).data
        if before["state"] == "closed":
            return {"changed": False, "breaker": before}
        after = self.api.post(path + "/reset", {"reason": self.reason(reason)}).data
        return {"changed": True, "breaker": after}
