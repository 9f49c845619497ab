import pytest

from pipelines.intake.image_addresses import problem_with


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "http://93.184.216.34/a.png?x=1",
        "https://[2606:4700::1111]/a.png",
        "HTTPS://EXAMPLE.COM:8443/a",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://b\u00fccher.example/a.png",
    ],
)
def test_images_of_the_public_web_and_images_that_come_along_are_taken(url: str) -> None:
    assert problem_with(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "file:///etc/passwd", "ftp://example.com/a", "gs://bucket/a", "javascript:alert(1)", "//example.com/a",
        "data:text/html;base64,PGI+", "data:image/svg+xml,<svg/>", "http://", "https://user:secret@example.com/a",
        "http://169.254.169.254/latest/meta-data", "http://localhost/a", "http://metadata.google.internal/a",
        "http://127.0.0.1/a", "http://127.1/a", "http://2130706433/a", "http://0x7f.1/a", "http://0177.0.0.1/a",
        "http://0/a", "http://10.0.0.1/a", "http://192.168.1.1/a", "http://172.16.0.1/a", "http://100.64.0.1/a",
        "http://[::1]/a", "http://[::ffff:127.0.0.1]/a", "http://[fe80::1%25eth0]/a", "http://[fd00::1]/a",
        "http://[2002:7f00:1::]/a", "http://224.0.0.1/a", "http://router/a", "http://x.local/a", "http://127.0.0.1./a",
        "http://example.com\\@127.0.0.1/a", "http://exa mple.com/a", "http://example.com/a\r\nHost: x",
        "http://example.com:99999/a", "http://[::1/a", "http://[64:ff9b::7f00:1]/a",
    ],
)  # fmt: skip
def test_addresses_that_lead_inside_or_nowhere_are_refused(url: str) -> None:
    assert problem_with(url) is not None
