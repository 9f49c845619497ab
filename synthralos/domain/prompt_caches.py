"""What a plan's step has to say of the provider's prompt cache, as data."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class PromptCache(NamedTuple):
    """Why jobs that begin alike go there first: `prefix_tokens`, about, are what they have in common.

    `read`: answers of the last minutes read such a beginning from the cache, so its estimated cost counts with the
    cached price. Otherwise the deployment is the one of several that cost the same.
    """

    prefix_tokens: int
    read: bool

    @property
    def text(self) -> str:
        """The sentence that people read."""
        if self.read:
            return (
                f"about {self.prefix_tokens} tokens of its beginning cost less, being read from the prompt cache there"
            )
        return (
            f"of those that cost the same, jobs with these first {self.prefix_tokens} tokens or so share a prompt cache"
        )

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PromptCache":
        """The inverse of `to_json`."""
        return cls(data["prefix_tokens"], data["read"])
