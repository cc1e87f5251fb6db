"""BLEU and chrF of the pairs of eval_pairs.py, by sacrebleu and by evaluate.

    python tools/goldens/eval_bleu.py EVALUATE NMT_BLEU

EVALUATE is a checkout of github.com/huggingface/evaluate, NMT_BLEU the file nmt/scripts/bleu.py of github.com/tensorflow/nmt,
which evaluate's BLEU imports. Writes data/eval-bleu/ and data/eval-chrf/: `sentences.json` has the score of every pair by itself
under every option (float64, little-endian, base64), `corpora.json` those of lists of pairs with all their parts.
"""

import base64
import hashlib
import importlib
import itertools
import logging
import re
import shutil
import struct
import sys
import tempfile
import unicodedata
from pathlib import Path

import regex
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.bleu import _get_tokenizer

from common import fresh_folder, versions, write_json
from eval_pairs import load

logging.disable(logging.WARNING)
TOKENIZERS = ("13a", "char", "intl", "none", "zh")
SMOOTHINGS = ("add-k", "exp", "floor", "none")


def packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()


def streams(references: list[list[str]]) -> list[list[str | None]]:
    return [list(column) for column in itertools.zip_longest(*references)]


def name_of(options: dict) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())


def sentence_scores(metrics: list[dict], make, pairs: list) -> dict:
    return {name_of(o): {"options": o, "scores": packed([make(o).sentence_score(p, r).score for p, r in pairs])} for o in metrics}


def corpus_scores(metrics: list[dict], make, pairs: list, corpora: dict, parts) -> list[dict]:
    found = []
    for options, (corpus, indices) in itertools.product(metrics, corpora.items()):
        metric = make(options)
        score = metric.corpus_score([pairs[i][0] for i in indices], streams([pairs[i][1] for i in indices]))
        found.append({"corpus": corpus, "options": options, "signature": str(metric.get_signature()), **parts(score)})
    return found


def bleu_parts(score) -> dict:
    names = {"score": "score", "counts": "matches", "totals": "totals", "precisions": "precisions"}
    names |= {"bp": "brevityPenalty", "sys_len": "systemLength", "ref_len": "referenceLength"}
    return {ours: getattr(score, theirs) for theirs, ours in names.items()}


def evaluate_bleu(evaluate: Path, nmt: Path):
    """The module as evaluate.load would put it together, without a network."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "evaluate_metric_bleu"
        shutil.copytree(evaluate / "metrics/bleu", package)
        shutil.copy(nmt, package / "nmt_bleu.py")
        (package / "__init__.py").touch()
        sys.path.insert(0, scratch)
        module = importlib.import_module("evaluate_metric_bleu.bleu")
        sys.path.remove(scratch)
    return module.Bleu()


def evaluate_scores(metric, pairs: list, corpora: dict) -> dict:
    def result(indices: list[int], options: dict) -> dict | None:
        try:
            return metric.compute(predictions=[pairs[i][0] for i in indices], references=[pairs[i][1] for i in indices], **options)
        except ZeroDivisionError:
            return None

    kinds = [{}, {"smooth": True}, {"max_order": 2}, {"smooth": True, "max_order": 6}]
    # evaluate's own loop costs 10 ms a call, which is too much for every pair: the function below it is what scores
    one = lambda i, o: metric._compute([pairs[i][0]], [pairs[i][1]], **o)["bleu"]  # noqa: E731

    def guarded(i: int, o: dict) -> float:
        try:
            return one(i, o)
        except ZeroDivisionError:
            return -1.0

    return {
        "sentences": {name_of(o): {"options": o, "scores": packed([guarded(i, o) for i in range(len(pairs))])} for o in kinds},
        "corpora": [{"corpus": c, "options": o, "result": result(i, o)} for o, (c, i) in itertools.product(kinds, corpora.items())],
    }


def unicode_sets() -> dict:
    """Ranges of the code points of Unicode 14 that the properties of intl hold, those that zh calls Chinese, and Python's words."""
    assigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    is_chinese = _get_tokenizer("zh")()._is_chinese_char
    tests = {name: regex.compile(rf"\p{{{name}}}").match for name in "PSN"}
    tests |= {"chinese": is_chinese, "word": re.compile(r"\w").match}

    def ranges(test) -> list[list[int]]:
        found: list[list[int]] = []
        for c in assigned:
            if test(chr(c)):
                if found and found[-1][1] == c - 1:
                    found[-1][1] = c
                else:
                    found.append([c, c])
        return found

    lower = "\n".join(chr(c).lower() for c in assigned)
    return {
        "assigned": ranges(lambda _: True),
        **{name: ranges(test) for name, test in tests.items()},
        "lowerSha256": hashlib.sha256(lower.encode()).hexdigest(),
    }


if __name__ == "__main__":
    evaluate_folder, nmt_file = map(Path, sys.argv[1:])
    data = load()
    pairs, corpora = data["pairs"], data["corpora"]
    made_by = versions("sacrebleu", "evaluate", "regex")

    smoothed = [{"tokenize": t, "smooth_method": s} for t, s in itertools.product(TOKENIZERS, SMOOTHINGS)]
    more = [
        {"lowercase": True},
        {"tokenize": "intl", "lowercase": True},
        {"max_ngram_order": 1},
        {"max_ngram_order": 6, "smooth_method": "add-k", "smooth_value": 0.5},
        {"smooth_method": "floor", "smooth_value": 0.01},
        {"smooth_method": "floor", "smooth_value": 0.0},
    ]
    bleu_folder = fresh_folder("eval-bleu")
    of_sentences = sentence_scores(
        [{**o, "effective_order": True} for o in smoothed + more] + [{"effective_order": False}], lambda o: BLEU(**o), pairs
    )
    of_corpora = corpus_scores(smoothed + [{**o, "effective_order": True} for o in smoothed[:4]] + more, lambda o: BLEU(**o), pairs, corpora, bleu_parts)
    write_json(bleu_folder / "sentences.json", {"versions": made_by, **of_sentences})
    write_json(bleu_folder / "corpora.json", {"versions": made_by, **{str(i): entry for i, entry in enumerate(of_corpora)}})
    write_json(bleu_folder / "evaluate.json", {"versions": made_by, **evaluate_scores(evaluate_bleu(evaluate_folder, nmt_file), pairs, corpora)})
    write_json(bleu_folder / "unicode.json", {"versions": made_by, **unicode_sets()})

    variants = [
        {},
        {"word_order": 1},
        {"word_order": 2},
        {"beta": 3},
        {"beta": 1, "word_order": 2, "lowercase": True},
        {"whitespace": True},
        {"whitespace": True, "word_order": 2, "eps_smoothing": True},
        {"eps_smoothing": True},
        {"char_order": 0, "word_order": 3},
        {"char_order": 2, "lowercase": True},
    ]
    chrf_folder = fresh_folder("eval-chrf")
    chrf_parts = lambda score: {"score": score.score, "variant": score.name}  # noqa: E731
    chrf_corpora = corpus_scores(variants, lambda o: CHRF(**o), pairs, corpora, chrf_parts)
    write_json(chrf_folder / "sentences.json", {"versions": made_by, **sentence_scores(variants, lambda o: CHRF(**o), pairs)})
    write_json(chrf_folder / "corpora.json", {"versions": made_by, **{str(i): entry for i, entry in enumerate(chrf_corpora)}})
