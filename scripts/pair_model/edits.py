"""Edits of a prompt that keep what it asks, and edits that change it: the pairs that the model learns from."""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path


def _phrases(source: Path) -> dict[str, list[str]]:
    """The phrases of a file by the heading above them."""
    parts = source.read_text(encoding="utf-8").strip().split("\n\n")
    headed = [part.partition(":\n") for part in parts]
    return {heading: [line.strip() for line in lines.splitlines()] for heading, _, lines in headed}


_PHRASES = _phrases(Path(__file__).with_name("phrases.txt"))
_OPENINGS, _CLOSINGS, _CORRECTIONS = (_PHRASES[name] for name in ("openings", "closings", "corrections"))
_SYNONYMS = {
    word: [other for other in group if other != word]
    for group in (line.split(" = ") for line in _PHRASES["synonyms"])
    for word in group
}
_LOOK_ALIKES = dict(zip("aeopcxyijsh", "аеорсхуіјѕһ", strict=True))
_LEET = dict(zip("aeiost", "431057", strict=True))
_WRAPPINGS = ("[{}]", '"{}"', "User: {}", "'{}'", "({})", "> {}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VERB = r"\b(is|are|was|were|do|does|did|can|could|would|should|will|has|have|had)"
_AFFIRMED = re.compile(_VERB + r"\b(?!n't| not)", re.IGNORECASE)
_NEGATED = re.compile(_VERB + r"(?:n't| not)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_SENTENCE_ENDS = re.compile(r"(?<=[.,;!?]) ")

Edit = Callable[[str, random.Random, str], str]


def same(text: str, rng: random.Random, other: str) -> str:
    """The text, edited so that it asks the same; `other` is some other text to borrow words from."""
    edited = rng.choice(_SAME)(text, rng, other)
    return rng.choice(_SAME)(edited, rng, other) if rng.random() < 0.35 else edited


def different(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    """The text, edited so that it asks something else; the text itself where no edit fits."""
    return rng.choice(_DIFFERENT)(text, rng, other, words)


def _case(text: str, rng: random.Random, other: str) -> str:
    return rng.choice([text.upper, text.lower, text.title, text.swapcase])()


def _typing(text: str, rng: random.Random, other: str) -> str:
    """Letters that are dropped, doubled, replaced and swapped, at some rate."""
    rate, typed = rng.uniform(0.02, 0.14), list[str]()
    for char in text:
        if not char.isalpha() or rng.random() >= rate:
            typed.append(char)
            continue
        typed += rng.choice([[], [char, char], [rng.choice(_LETTERS)], [char]])
        if len(typed) > 1 and rng.random() < 0.25:
            typed[-2:] = typed[:-3:-1]
    return "".join(typed)


def _misspelt_words(text: str, rng: random.Random, other: str) -> str:
    """One edit in each of some of the longer words; a letter put in may be a capital."""
    words, rate = text.split(" "), rng.choice([0.1, 0.25, 0.5])
    for i, word in enumerate(words):
        if len(word) < 3 or not word.isalpha() or rng.random() >= rate:
            continue
        at, letter = rng.randrange(len(word) - 1), rng.choice(_LETTERS)
        letter = letter.upper() if rng.random() < 0.4 else letter
        words[i] = rng.choice(
            [
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[: at + 1] + " " + word[at + 1 :],
                word + rng.choice(["s", "ing", "ed"]),
            ]
        )
    return " ".join(words)


def _look_alikes(text: str, rng: random.Random, other: str) -> str:
    return "".join(_LOOK_ALIKES.get(char, char) if rng.random() < 0.6 else char for char in text)


def _invisible(text: str, rng: random.Random, other: str) -> str:
    return "".join(char + ("\u200b" if rng.random() < 0.3 else "") for char in text)


def _spaces(text: str, rng: random.Random, other: str) -> str:
    """More spaces, and some lost ones."""
    return re.sub(" ", lambda _: " " * rng.randint(0 if rng.random() < 0.15 else 1, 3), text)


def _punctuation(text: str, rng: random.Random, other: str) -> str:
    if rng.random() < 0.5:
        return re.sub(r"[^\w\s]", "", text)
    return re.sub(" ", lambda _: rng.choice([" ", " ", ",", " ... ", "! "]), text)


def _opened(text: str, rng: random.Random, other: str) -> str:
    closing = " " + rng.choice(_CLOSINGS) if rng.random() < 0.5 else ""
    return f"{rng.choice(_OPENINGS)} {rng.choice([text, text[:1].lower() + text[1:]])}{closing}"


def _closed(text: str, rng: random.Random, other: str) -> str:
    noise = "".join(rng.choice("abcdefgXYZ0189") for _ in range(10))
    return f"{text} {rng.choice([*_CLOSINGS, noise, ' '.join([rng.choice(_CLOSINGS)] * 3)])}"


def _wrapped(text: str, rng: random.Random, other: str) -> str:
    return rng.choice(_WRAPPINGS).replace("{}", text)


def _cut(text: str, rng: random.Random, other: str) -> str:
    return text[: max(12, int(len(text) * rng.uniform(0.6, 0.92)))]


def _synonyms(text: str, rng: random.Random, other: str) -> str:
    words = text.split(" ")
    for _ in range(max(1, int(len(words) * rng.uniform(0.1, 0.3)))):
        i = rng.randrange(len(words))
        words[i] = rng.choice(_SYNONYMS.get(words[i].lower().strip(".,?!"), [words[i]]))
    return " ".join(words)


def _corrected(text: str, rng: random.Random, other: str) -> str:
    """A speaker says something else first, takes it back, and perhaps says again what came before."""
    words, borrowed = text.split(" "), other.split(" ")
    if len(words) < 4:
        return text
    at, begin = rng.randrange(1, len(words)), rng.randrange(len(borrowed))
    wrong = " ".join(borrowed[begin : begin + rng.randint(1, 4)]).rstrip(".?!")
    back = max(0, at - rng.choice([0, 0, 0, 1, 2, 4]))
    return " ".join([*words[:at], wrong, rng.choice(_CORRECTIONS), *words[back:]])


def _words_left_out(text: str, rng: random.Random, other: str) -> str:
    return " ".join(word for word in text.split(" ") if rng.random() > 0.12)


def _shuffled(text: str, rng: random.Random, other: str) -> str:
    parts = _SENTENCE_ENDS.split(text)
    rng.shuffle(parts)
    return " ".join(parts)


def _leet(text: str, rng: random.Random, other: str) -> str:
    return "".join(_LEET.get(char, char) if rng.random() < 0.5 else char for char in text)


_SAME: tuple[Edit, ...] = (
    _case, _typing, _typing, _misspelt_words, _misspelt_words, _misspelt_words, _look_alikes, _invisible, _spaces,
    _punctuation, _opened, _opened, _closed, _wrapped, _cut, _synonyms, _synonyms, _corrected, _corrected, _corrected,
    _words_left_out, _shuffled, _leet,
)  # fmt: skip


def _number_changed(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    numbers = _NUMBER.findall(text)
    if not numbers:
        return _word_changed(text, rng, other, words)
    number = rng.choice(numbers)[:9]
    return text.replace(number, str(int(number) + rng.choice([1, 2, 7, 10, 30])), 1)


def _other_end(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    mine, theirs = text.split(" "), other.split(" ")
    at, half = int(len(mine) * rng.uniform(0.3, 0.6)), len(theirs) // 2
    return " ".join(mine[:at] + theirs[half : half + len(mine) - at])


def _word_changed(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    mine, known = text.split(" "), set(words)
    places = [i for i, word in enumerate(mine) if word.lower().strip(".,?!") in known]
    for i in rng.sample(places, min(len(places), rng.choice([1, 1, 2]))):
        mine[i] = rng.choice(words)
    return " ".join(mine)


def _negated(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    """A verb that is denied, or no longer."""
    if _NEGATED.search(text):
        return _NEGATED.sub(r"\1", text, count=1)
    return _AFFIRMED.sub(rng.choice([r"\1n't", r"\1 not", r"\1 never", r"\1 no longer"]), text, count=1)


def _opposite(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    """A word that says the opposite: official and unofficial."""
    mine = text.split(" ")
    places = [i for i, word in enumerate(mine) if len(word) > 5 and word.isalpha() and word.islower()]
    if not places:
        return _word_changed(text, rng, other, words)
    i = rng.choice(places)
    mine[i] = rng.choice(["un", "dis", "in", "non"]) + mine[i]
    return " ".join(mine)


def _exchanged(text: str, rng: random.Random, other: str, words: Sequence[str]) -> str:
    """Two words that change places: from euros to dollars, from dollars to euros."""
    mine, known = text.split(" "), set(words)
    places = [i for i, word in enumerate(mine) if word.lower().strip(".,?!") in known]
    if len(places) < 2:
        return _word_changed(text, rng, other, words)
    i, j = rng.sample(places, 2)
    mine[i], mine[j] = mine[j], mine[i]
    return " ".join(mine)


_DIFFERENT: tuple[Callable[[str, random.Random, str, Sequence[str]], str], ...] = (
    _number_changed, _other_end, _word_changed, _word_changed, _negated, _opposite, _exchanged,
)  # fmt: skip
