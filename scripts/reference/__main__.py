"""`python -m scripts.reference` says which pages are behind the code and exits 1; `--write` writes them."""

import sys

from scripts.reference.pages import FOLDER, pages


def main() -> int:
    """The exit status."""
    behind = {name: text for name, text in pages().items() if _written(name) != text}
    if "--write" in sys.argv[1:]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in behind.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    if behind:
        print("behind the code:", ", ".join(behind), "- run: make reference", file=sys.stderr)
    return bool(behind)


def _written(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
