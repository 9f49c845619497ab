"""Images: their sizes are read from their headers, and vendors' own examples are counted as the vendors do."""

import base64
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.images.counting import image_tokens
from pipelines.images.headers import Size, size_of
from pipelines.images.rules import RULES, Rule, rule_for
from pipelines.tokens import prompt_size
from synthralos.domain.jobs import Request

WEB = "https://example.com/a.png"


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A whole gray image."""
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(width: int, height: int, *, frame: int = 0xC0, before: bytes = b"") -> bytes:
    """Up to its frame, after what cameras write: JFIF, and EXIF with a smaller image in it."""
    small = b"\xff\xd8" + segment(0xC0, struct.pack(">BHHB", 8, 7, 7, 0))
    parts = segment(0xE0, b"JFIF\0" + bytes(9)) + segment(0xE1, b"Exif\0\0" + small * 3_000) + before
    return b"\xff\xd8" + parts + b"\xff\xff" + segment(frame, struct.pack(">BHHB", 8, height, width, 0)) + b"\xff\xd9"


def webp(kind: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


def lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height))


def lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(8))


def extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


FORMS = [png, gif, jpeg, lossy, lossless, extended]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (640, 480), (333, 1_001)])
def test_the_size_is_read_from_the_header(form: Callable[[int, int], bytes], width: int, height: int) -> None:
    assert size_of(url(form(width, height))) == Size(width, height)


@pytest.mark.parametrize("frame", [0xC1, 0xC2, 0xC9, 0xCF])
def test_a_jpeg_of_any_frame_has_a_size(frame: int) -> None:
    tables = segment(0xC4, bytes(20)) + segment(0xDB, bytes(65))
    assert size_of(url(jpeg(4_000, 3_000, frame=frame, before=tables))) == Size(4_000, 3_000)


@pytest.mark.parametrize(
    "address",
    [
        WEB,
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,????",
        "data:image/svg+xml;base64,PHN2Zy8+",
        url(png(5, 5)[:20]),
        url(png(5, 5).replace(b"IHDR", b"IDAT")),
        url(b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + bytes(8)),
        url(jpeg(5, 0)),
        url(jpeg(5, 5)[:-20]),
        url(b"\xff\xd8" + b"\xff" * 5_000_000),
        url(b"\xff\xd8" + segment(0xE0, b"") * 100_000),
        url(b"\xff\xd8\xff\xe0\0\0" * 100),
        url(webp(b"VP8 ", bytes(10))),
        url(webp(b"ABCD", bytes(10))),
    ],
    ids=range(15),
)
def test_what_has_no_readable_header_has_no_size(address: str) -> None:
    assert size_of(address) is None


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"RIFF\0\0\0\0WEBPVP8X", b"GIF89a"])
)
def test_any_bytes_have_a_size_or_none(data: bytes, begin: bytes) -> None:
    found = size_of(url(begin + data))
    assert found is None or min(found) > 0


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        # OpenAI, "Images and vision": its examples for tiles, and for patches.
        ("openai/gpt-4o", 1_024, 1_024, "high", 765),
        ("openai/gpt-4.1", 2_048, 4_096, "high", 1_105),
        ("openai/gpt-4o@eu", 4_096, 8_192, "low", 85),
        ("openai/gpt-4o-mini-2024-07-18", 512, 512, "high", 2_833 + 5_667),
        ("openai/gpt-4.1-mini", 1_024, 1_024, "auto", 1_659),  # 1,024 patches, times 1.62
        ("openai/gpt-4.1-mini", 1_800, 2_400, "auto", 2_353),  # 1,452 patches, times 1.62
        ("openai/o3", 512, 512, "high", 225),
        # Anthropic, "Vision": its table of the largest images that are not shrunk, and a small one.
        ("anthropic/claude-sonnet-4-5", 1_000, 1_000, "auto", 1_334),
        ("anthropic/claude-sonnet-4-5", 1_092, 1_092, "auto", 1_590),
        ("anthropic/claude-sonnet-4-5", 8_000, 8_000, "auto", 1_600),
        ("anthropic/claude-opus-5-5", 8_000, 8_000, "auto", 4_784),
        # Google, "Understand and count tokens": small images, and the example of six crops.
        ("google/gemini-2.5-pro", 384, 384, "auto", 258),
        ("google/gemini-2.5-pro", 960, 540, "auto", 6 * 258),
        ("google/gemini-3.8-flash", 5_000, 5_000, "auto", 1_120),
    ],
)
def test_images_are_counted_as_their_vendors_do(model: str, width: int, height: int, detail: str, tokens: int) -> None:
    assert rule_for(model).tokens(Size(width, height), detail) == tokens


sides = st.integers(1, 4_096)
NAMED = [rule for _, rule in RULES]


@given(st.sampled_from(NAMED), sides, sides, st.sampled_from(["auto", "low", "high"]))
def test_an_image_of_unknown_size_counts_as_much_as_any_other(rule: Rule, width: int, height: int, detail: str) -> None:
    assert 0 < rule.tokens(Size(width, height), detail) <= rule.tokens(None, detail)


@given(sides, sides)
def test_where_no_model_is_named_the_dearest_counts(width: int, height: int) -> None:
    for model in ("gpt-4o", "gpt-4.1-nano", "gpt-6", "claude-opus-5-5", "gemini-2.5-pro", "gemini-4"):
        assert rule_for(model).tokens(Size(width, height), "auto") <= rule_for("auto").tokens(
            Size(width, height), "auto"
        )


def request(model: str, *images: str) -> Request:
    parts = [
        {"type": "text", "text": "What is this?"},
        *({"type": "image_url", "image_url": {"url": i}} for i in images),
    ]
    return Request(
        model, {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": parts}]}
    )


def test_the_images_of_a_request_are_added_up() -> None:
    inline = url(png(512, 512))
    assert image_tokens(request("openai/gpt-4o", inline, inline, WEB)) == 2 * 255 + 1_445
    assert image_tokens(request("openai/gpt-4o", inline), "gpt-4.1-mini") == 415
    assert image_tokens(request("openai/gpt-4o")) == 0


def test_images_are_part_of_the_size_of_a_prompt() -> None:
    without, size = prompt_size(request("openai/gpt-4o")), prompt_size(request("openai/gpt-4o", url(png(512, 512))))
    assert (size.images, size.estimate, size.upper_bound) == (255, without.estimate + 255, without.upper_bound + 255)
