"""What a job or a run waits for is answered: an approval by yes or no, a signal by a payload."""

from lib.base import SynthralosAction, given, path_id, told
from lib.synthralos_api import ApiError


class WaitAnswer(SynthralosAction):
    """Answers a wait point. The same answer again does nothing; another one is refused."""

    @told
    def run(self, wait_id, answer=None, payload=None, comment=None):
        """Whether this answered it, and the wait point afterwards."""
        url = "/api/v1/waits/{}".format(path_id(wait_id))
        before = self.api.get(url).data
        said = given(answer=answer, payload=payload, comment=self.reason(comment))
        try:
            after = self.api.post(url, said).data
        except ApiError as error:
            if error.kind != "ambiguous":
                raise
            after = self.api.get(url).data
            if after["state"] == "open":
                raise
        return {"changed": before["state"] == "open", "wait": after}
