"""Chat messages, tools and forms of answers, as OpenAI names them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pipelines.intake.closed import Closed, Open


class FunctionCall(Open):
    """The function that a model called, with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Open):
    """A call that a model made in an earlier turn. What it holds beside this is kept for servers that know it."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(Closed):
    """A piece of text."""

    type: Literal["text"]
    text: str


class RefusalPart(Closed):
    """A refusal of an earlier turn."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Closed):
    """Where an image is: a web address or a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(Closed):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Closed):
    """Audio in Base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Closed):
    """A piece of audio."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class OtherPart(Open):
    """A part of an earlier answer that only some servers know, such as `thinking`."""

    type: str


PART_TYPES = ("text", "image_url", "input_audio", "refusal")


def _part_type(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return kind if kind in PART_TYPES else "other"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[AudioPart, Tag("input_audio")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_type),
]


class Message(Open):
    """An OpenAI chat message. `content` may be left out only beside `tool_calls`.

    An assistant's message is an answer of some provider: what it holds beside this is kept for servers that know it.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(min_length=1, fail_fast=True)] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128, fail_fast=True)] | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Closed):
    """A function that a model may call; `parameters` is a JSON Schema."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Closed):
    """A tool that a model may use."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Closed):
    """A function by its name."""

    name: str


class NamedTool(Closed):
    """The one tool that the model has to use."""

    type: Literal["function"]
    function: NamedFunction


class PlainFormat(Closed):
    """An answer in text, or in any JSON."""

    type: Literal["text", "json_object"]


class NamedSchema(Closed):
    """A JSON Schema for the answer."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class SchemaFormat(Closed):
    """An answer in JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema
