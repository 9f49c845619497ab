"""What prompt similarity costs, and what it finds: 100,000 recent prompts of one tenant, and pairs of prompts.

The prompts are those of the shared data (`SIMILARITY_DATA`, else ../shared/data) beside edits of them, or where there
are none, prompts that are put together here. The same prompts every time.
"""

import gzip
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import figure, say
from benchmarks.workload import job
from pipelines.similarity.embedding import Floats, NgramEmbedder
from pipelines.similarity.pairs import load_pair_model
from pipelines.similarity.recent import Prompt, RecentPrompts
from scripts.pair_model.edits import same

PROMPTS, PROMPTS_SMOKE = 100_000, 3_000
QUERIES, QUERIES_SMOKE = 400, 40
BATCH, CHARACTERS, PAIR_CHARACTERS = 64, 2_000, 500
LONGEST_EDITED = 1_500
ROUNDS = 15
_FILES = ("guard/abuse.jsonl.gz", "router/two_models.jsonl.gz")
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def main(smoke: bool) -> None:
    """Half of the queries are edits of prompts that are kept, the others are prompts of which nothing like is kept."""
    count, queries = (PROMPTS_SMOKE, QUERIES_SMOKE) if smoke else (PROMPTS, QUERIES)
    rng, embedder = random.Random(1), NgramEmbedder()
    texts, unseen = _corpus(count, queries // 2, rng)
    began = time.process_time()
    vectors = embedder.embed(texts)
    say(f"{count:,} prompts embedded in {time.process_time() - began:.1f} s of CPU")
    window = _window(texts, vectors, embedder.dimensions)
    edited = [_edited(rng.choice(texts), rng, texts) for _ in range(queries // 2)]
    for name, asked in (("", edited), ("_unseen", unseen)):
        milliseconds, recall = _searched(window, embedder.embed(asked), vectors)
        figure(f"search{name}_ms", statistics.median(milliseconds), "ms")
        figure(f"recall{name}_at_1", recall, "share")
    figure("window_mb", window.bytes / 1e6, "MB")
    figure("embed_ms_per_prompt", _embedding_ms(embedder, texts), "ms")
    figure("pair_ms", _pair_ms(texts, rng), "ms")


def _corpus(count: int, unseen: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """The prompts that are kept, and others."""
    folder = Path(os.environ.get("SIMILARITY_DATA", _BESIDE))
    texts = [text for name in _FILES for text in _texts(folder / name)]
    say(f"{len(texts):,} prompts of {folder}" if texts else f"no data in {folder}: prompts that are put together here")
    texts = list(dict.fromkeys(texts)) or [str(job(number)["prompt"]) for number in range(count)]
    rng.shuffle(texts)
    unseen_texts, base = texts[:unseen], texts[unseen:]
    kept = base[:count]
    kept += [_edited(rng.choice(base), rng, base) for _ in range(count - len(kept))]
    return kept, unseen_texts


def _texts(path: Path) -> list[str]:
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [row.get("text") or row.get("prompt") or "" for row in rows]


def _edited(text: str, rng: random.Random, others: Sequence[str]) -> str:
    return same(text[:LONGEST_EDITED], rng, rng.choice(others))


def _window(texts: Sequence[str], vectors: Floats, dimensions: int) -> RecentPrompts:
    window = RecentPrompts(dimensions, most=len(texts))
    prompts = [Prompt(f"{i:036d}", float(i)) for i in range(len(texts))]
    window.add(prompts, vectors)
    say(f"{len(window):,} prompts kept in {window.bytes / 1e6:.0f} MB")
    return window


def _searched(window: RecentPrompts, asked: Floats, vectors: Floats) -> tuple[list[float], float]:
    """Milliseconds of each query, and how often the first that is found is as near as the nearest of all."""
    taken, right = [], 0
    for vector in asked:
        began = time.perf_counter()
        [found] = window.search(vector[None], k=5)
        taken.append(1_000 * (time.perf_counter() - began))
        cosines = vectors @ vector
        right += bool(cosines[int(found[0].prompt.job_id)] >= cosines.max() - 1e-6)
    return taken, right / len(asked)


def _embedding_ms(embedder: NgramEmbedder, texts: Sequence[str]) -> float:
    long = [text[:CHARACTERS] for text in texts if len(text) >= CHARACTERS] or ["\n".join(texts)[:CHARACTERS]]
    batch = (long * BATCH)[:BATCH]
    return _milliseconds(lambda: embedder.embed(batch)) / BATCH


def _pair_ms(texts: Sequence[str], rng: random.Random) -> float:
    model = load_pair_model()
    long = [text[:PAIR_CHARACTERS] for text in texts if len(text) >= PAIR_CHARACTERS][:BATCH]
    pairs = [(text, _edited(text, rng, long)) for text in long]
    return _milliseconds(lambda: [model.score(one, other) for one, other in pairs]) / len(pairs)


def _milliseconds(work: Callable[[], object]) -> float:
    """Of CPU, the median of some rounds."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1_000 * statistics.median(taken)
