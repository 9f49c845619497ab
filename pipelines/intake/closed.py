"""What all models of requests are: strict, and without room for what they do not know."""

from pydantic import BaseModel, ConfigDict


class Closed(BaseModel):
    """Takes what it knows and nothing else; a value is never converted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Open(BaseModel):
    """Takes what it does not know, too: it was made by others, an answer of some provider for instance."""

    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)
