"""Training texts of our own: attacks, innocent look-alikes, and noise, from the phrases of grammar.txt."""

import random
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_GRAMMAR = Path(__file__).with_name("grammar.txt")
_SEED_WORDS = """
the time person year way day thing man world life hand part child eye woman place work week case point government
company number group problem fact
""".split()  # noqa: SIM905

COUNTS: Mapping[str, int] = {
    "injection": 1_300, "extraction": 900, "jailbreak": 500, "harmful": 900, "harmful_multilingual": 90, "spam": 300,
    "scary_safe": 1_500, "benign_multilingual": 60, "benign_hard": 1_600,
}  # fmt: skip
"""Texts of each kind."""
NOISE, HIDDEN, PIECES = 900, 300, 800


class Row(NamedTuple):
    """A text, what kind it is, and whether it is to be flagged (1) or not (0)."""

    text: str
    kind: str
    label: int


class Grammar:
    """The phrases, and the forms of each kind of text."""

    def __init__(self, source: Path = _GRAMMAR) -> None:
        self.phrases: dict[str, list[str]] = {}
        self.forms: dict[str, list[str]] = {}
        into: list[str] = []
        for line in source.read_text(encoding="utf-8").splitlines():
            if line.startswith("= "):
                into = self.forms.setdefault(line[2:], [])
            elif line.startswith("  ") or not line:
                if line:
                    into.append("" if line == "  (nothing)" else line[2:].replace("\\n", "\n"))
            elif line.endswith(":") and not line.startswith("#"):
                into = self.phrases.setdefault(line[:-1], [])

    def make(self, form: str, rng: random.Random) -> str:
        """A text of the form, in one of several cases."""
        made = form
        while "{" in made:
            begin = made.rfind("{")
            end = made.find("}", begin)
            if end < 0 or made[begin + 1 : end] not in self.phrases:
                made = f"{made[:begin]}\x01{made[begin + 1 :]}"
                continue
            made = made[:begin] + rng.choice(self.phrases[made[begin + 1 : end]]) + made[end + 1 :]
        made = made.replace("\x01", "{").replace("¦", "|").replace("  ", " ").strip()
        dice = rng.random()
        if dice < 0.2:
            return made.lower()
        return made.upper() if dice < 0.24 else made[:1].upper() + made[1:]


def own_texts(seed: int, words: Sequence[str] = (), documents: Sequence[str] = ()) -> list[Row]:
    """Texts of all kinds; `words` are common ones, and instructions are hidden in `documents`."""
    rng, grammar = random.Random(seed), Grammar()
    rows: list[Row] = []
    for kind, count in COUNTS.items():
        harmless = kind.startswith("benign") or kind == "scary_safe"
        texts = {grammar.make(rng.choice(grammar.forms[kind]), rng) for _ in range(count)}
        rows += [Row(text, kind, int(not harmless)) for text in sorted(texts)]
    rows += [noise(rng, words or _SEED_WORDS) for _ in range(NOISE)]
    if documents:
        rows += [_hidden(rng, grammar, rng.choice(documents)) for _ in range(HIDDEN)]
        rows += [Row(_piece(rng, rng.choice(documents)), "benign_document", 0) for _ in range(PIECES)]
        rows += [_hidden_piece(rng, grammar, rng.choice(documents)) for _ in range(HIDDEN)]
    return rows


def _hidden(rng: random.Random, grammar: Grammar, document: str) -> Row:
    """An instruction in the middle of a document."""
    text = document[: rng.choice([600, 1_500, 3_000])]
    cut = rng.choice([0, len(text), text.find("\n", len(text) // 2), text.find("\n", len(text) // 3)])
    task = grammar.make(rng.choice(grammar.phrases["task"]), rng)
    hidden = grammar.make(rng.choice(grammar.phrases["hide"]), rng)
    return Row(f"{task}\n\n{text[:cut]}\n{hidden}\n{text[cut:]}", "indirect_injection", 1)


def _piece(rng: random.Random, document: str) -> str:
    """What a window of a document has."""
    begin, size = rng.randrange(max(1, len(document) - 200)), rng.randint(80, 220)
    return document[begin : begin + size]


def _hidden_piece(rng: random.Random, grammar: Grammar, document: str) -> Row:
    """What a window has where an instruction is hidden."""
    hidden, around = grammar.make(rng.choice(grammar.phrases["hide"]), rng), _piece(rng, document)
    cut = rng.randint(0, len(around) // 2)
    return Row(f"{around[:cut]}\n{hidden}\n{around[len(around) // 2 :]}", "indirect_injection", 1)


def noise(rng: random.Random, words: Sequence[str]) -> Row:
    """Gibberish or repetition of one of many makes, 20 to 1,400 characters long."""
    size = int(2 ** rng.uniform(4.5, 10.5))
    if rng.random() < 2 / 13:
        return Row(rng.choice([_repeated_words, _repeated_characters])(rng, words, size), "repetition", 1)
    return Row(rng.choice(_GIBBERISH)(rng, words, size), "gibberish", 1)


def _of(alphabet: str, rng: random.Random, size: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(size))


def _repeated_words(rng: random.Random, words: Sequence[str], size: int) -> str:
    said = " ".join(rng.choice(words) for _ in range(rng.choice([1, 1, 2, 3, 6, 9])))
    return rng.choice([" ", "\n", "", ", "]).join([said] * max(8, size // len(said)))


def _repeated_characters(rng: random.Random, words: Sequence[str], size: int) -> str:
    alphabet = string.ascii_lowercase + "!?#.*=-0AHz"
    return "".join(rng.choice(alphabet) * rng.randint(15, 200) for _ in range(rng.choice([1, 1, 2, 3])))


def _printable(rng: random.Random, words: Sequence[str], size: int) -> str:
    return _of(string.printable[:95], rng, size)


def _random_words(rng: random.Random, words: Sequence[str], size: int) -> str:
    return " ".join(_of(string.ascii_lowercase, rng, rng.randint(2, 11)) for _ in range(size // 7 + 2))


def _keyboard(rng: random.Random, words: Sequence[str], size: int) -> str:
    row = rng.choice(["asdfghjkl;", "qwertyuiop", "zxcvbnm,", "sdfjkl", "asdf", "jkl;", "uiopl", "1234567890qwe"])
    return _of(row + (" " if rng.random() < 0.5 else ""), rng, size)


def _punctuation(rng: random.Random, words: Sequence[str], size: int) -> str:
    return _of(string.punctuation, rng, size)


def _scripts(rng: random.Random, words: Sequence[str], size: int) -> str:
    blocks = [0x400, 0x600, 0x4E00, 0xAC00, 0x900, 0x3040, 0x1F300, 0x2500, 0xE00]
    alone, mixed = rng.choice(blocks), rng.random() < 0.5
    return "".join(chr((rng.choice(blocks) if mixed else alone) + rng.randrange(90)) for _ in range(size // 2))


def _shuffled(rng: random.Random, words: Sequence[str], size: int) -> str:
    letters = list(" ".join(rng.choice(words) for _ in range(size // 5 + 3)))
    rng.shuffle(letters)
    return "".join(letters)


def _syllables(rng: random.Random, words: Sequence[str], size: int) -> str:
    return "".join(
        rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") + (" " if rng.random() < 0.3 else "")
        for _ in range(size // 2)
    )


def _hexadecimal(rng: random.Random, words: Sequence[str], size: int) -> str:
    return rng.choice(["", " "]).join(f"{rng.randrange(256):02x}" for _ in range(size // 2))


def _base64(rng: random.Random, words: Sequence[str], size: int) -> str:
    return _of(string.ascii_letters + string.digits + "+/", rng, size)


def _emoji(rng: random.Random, words: Sequence[str], size: int) -> str:
    return _of("😀😂🤣😍🙏🔥💯👍🎉✨🚀💰👀❤😎🥳🤑", rng, size // 3 + 5)


def _damaged(rng: random.Random, words: Sequence[str], size: int) -> str:
    chosen = [rng.choice(words) for _ in range(size // 6 + 3)]
    return " ".join(
        "".join(rng.choice(string.ascii_lowercase) if rng.random() < 0.35 else char for char in word) for word in chosen
    )


_GIBBERISH: tuple[Callable[[random.Random, Sequence[str], int], str], ...] = (
    _printable, _random_words, _keyboard, _punctuation, _scripts, _shuffled, _syllables, _hexadecimal, _base64, _emoji,
    _damaged,
)  # fmt: skip
