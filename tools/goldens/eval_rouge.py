"""ROUGE of the pairs in data/eval-pairs, and stems, by rouge_score and NLTK.

    python tools/goldens/eval_rouge.py EVALUATE

EVALUATE is a checkout of github.com/huggingface/evaluate. Writes data/eval-rouge/: scores.json, [precision, recall, fmeasure] of rouge1, rouge2, rouge3, rougeL, rougeLsum of every pair,
plain and stemmed; lines.json, the same of texts of several lines: `groups` has for each the pairs whose predictions, and whose
first references, make up its lines; evaluate.json, what evaluate's rouge makes of lists of pairs under a seed of NumPy; stems.json, words with
their stems.
"""

import importlib
import json
import random
import re
import sys

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from common import fresh_folder, versions, write_json
from eval_pairs import ROOT, load

TYPES = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
SEED = 20260725


def words() -> list[str]:
    """Words of the repository's own texts, with endings that the rules are about, and letters at random."""
    rng = random.Random(5)
    text = " ".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs/decisions").glob("*.md")))
    found = sorted(set(re.findall(r"[a-z]{2,}", text.lower())))
    ends = "s es ies sses ed eed ied ing ational tional enci anci izer abli bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll y".split()
    made = {w[: rng.randint(1, 7)] + rng.choice(ends) for w in found for _ in range(6)}
    odd = {"".join(rng.choice("aeiouybcdflmnrstwxz") for _ in range(rng.randint(1, 9))) for _ in range(6000)}
    irregular = "sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed".split()
    return sorted(set(found) | made | odd | set(irregular))


def line_groups(pairs: list) -> list[tuple[list[int], list[int]]]:
    """Which pairs' texts make up the lines of a prediction and of its reference: some in another order, missing or twice."""
    rng = random.Random(9)
    usual = [i for i, (prediction, references) in enumerate(pairs) if max(len(prediction), len(references[0])) < 400]
    groups = []
    for lines in [rng.randint(1, 9) for _ in range(200)] + [150, 250]:
        wanted = [rng.choice(usual) for _ in range(lines)]
        found = [i for i in wanted if rng.random() < 0.8] + [rng.choice(usual) for _ in range(rng.randint(0, 2))]
        rng.shuffle(found)
        groups.append((found, wanted))
    return groups


def by_evaluate(loaded: dict, scores: dict) -> dict:
    """Aggregated scores: medians of the means of 1,000 samples. Pair by pair evaluate must say what rouge_score does."""
    sys.path.insert(0, sys.argv[1])
    Rouge = importlib.import_module("metrics.rouge.rouge").Rouge
    found = []
    for corpus, (name, stemmed) in [(c, s) for c in ("all", "several", "hard") for s in (("plain", False), ("stemmed", True))]:
        indices = loaded["corpora"][corpus]
        given = dict(
            predictions=[loaded["pairs"][i][0] for i in indices], references=[loaded["pairs"][i][1] for i in indices],
            use_stemmer=stemmed,
        )  # fmt: skip
        each = Rouge().compute(**given, use_aggregator=False)
        for t, values in each.items():
            assert values == [scores[name][i][TYPES.index(t)][2] for i in indices], (corpus, t)
        aggregated = {t: float(x) for t, x in Rouge(seed=SEED).compute(**given).items()}
        found.append({"corpus": corpus, "stemmer": stemmed, "scores": aggregated})
    return {"versions": versions("evaluate", "rouge-score", "numpy"), "seed": SEED, "samples": 1000, "aggregated": found}


def main() -> None:
    folder = fresh_folder("eval-rouge")
    loaded = load()
    pairs = loaded["pairs"]
    scores = {}
    for name, stemmed in (("plain", False), ("stemmed", True)):
        scorer = RougeScorer(TYPES, use_stemmer=stemmed)
        scores[name] = [
            [[*score[t]] for t in TYPES] for prediction, references in pairs
            for score in [scorer.score_multi(references, prediction)]
        ]
    body = {"versions": versions("rouge-score", "nltk"), "types": TYPES, **scores}
    (folder / "scores.json").write_text(json.dumps(body) + "\n")
    write_json(folder / "evaluate.json", by_evaluate(loaded, scores))
    groups = line_groups(pairs)
    lines = {"types": TYPES, "groups": groups}
    for name, stemmed in (("plain", False), ("stemmed", True)):
        scorer = RougeScorer(TYPES, use_stemmer=stemmed)
        found = [
            scorer.score("\n".join(pairs[i][1][0] for i in wanted), "\n".join(pairs[i][0] for i in predicted))
            for predicted, wanted in groups
        ]
        lines[name] = [[[*score[t]] for t in TYPES] for score in found]
    (folder / "lines.json").write_text(json.dumps(lines, separators=(",", ":")) + "\n")
    stemmer = PorterStemmer()
    stems = {w: stemmer.stem(w) for w in words()}
    (folder / "stems.json").write_text(json.dumps(stems, separators=(",", ":")) + "\n")
    print(len(pairs), len(stems))


main()
