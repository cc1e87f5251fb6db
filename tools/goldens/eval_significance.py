"""Intervals and paired tests of sacrebleu on 200 of the pairs of eval_pairs.py, with the draws that they rest on.

    python tools/goldens/eval_significance.py

Writes data/eval-significance/golden.json. sacrebleu's bootstrap adds up in float32; `exact` is the same code on float64, which
moves scores by some 1e-6 of 100 and no p-value here.
"""

import base64
import logging
import os
import random

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest, _compute_p_value, estimate_ci

from common import fresh_folder, versions, write_json
from eval_pairs import changed, load

SEED, PAIRS, SAMPLES, TRIALS = 12345, 200, 200, 1000
os.environ["SACREBLEU_SEED"] = str(SEED)
logging.disable(logging.WARNING)


def base64_of(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def exact_bootstrap(metric, baseline: list[str], system: list[str], references: list, indices: np.ndarray) -> dict:
    rows = [np.array(metric._extract_corpus_statistics(texts, references), dtype="float64") for texts in (baseline, system)]
    scores = [metric._compute_score_from_stats(list(r.sum(0))).score for r in rows]
    values = [np.array([metric._compute_score_from_stats(list(s.sum(0))).score for s in r[indices]]) for r in rows]
    differences = np.abs(values[1] - values[0])
    p = _compute_p_value(differences - differences.mean(), abs(scores[1] - scores[0]))
    intervals = [dict(zip(("mean", "halfWidth"), map(float, estimate_ci(v)))) for v in values]
    return {"scores": scores, "pValue": p, "intervals": intervals, "values": base64_of(values[1])}


if __name__ == "__main__":
    pairs = [(p, r) for p, r in load()["pairs"] if len(r) == 1][300 : 300 + PAIRS]
    baseline, targets = [p for p, _ in pairs], [r[0] for _, r in pairs]
    # a system that is right a little more often than the baseline
    rng = random.Random(11)
    system = [t if rng.random() < 0.1 else changed(rng, p, targets) if rng.random() < 0.05 else p for p, t in zip(baseline, targets)]
    indices = np.random.default_rng(SEED).choice(PAIRS, size=(SAMPLES, PAIRS), replace=True)
    keeps = np.random.default_rng(SEED).integers(2, size=(TRIALS, PAIRS), dtype=bool)

    golden = {
        "versions": versions("sacrebleu", "numpy"),
        "samples": SAMPLES,
        "trials": TRIALS,
        "baseline": baseline,
        "system": system,
        "references": targets,
        "indices": base64_of(indices.astype("uint8")),
        "keeps": base64_of(np.packbits(keeps, axis=1, bitorder="little")),
    }
    for name, make in {"bleu": BLEU, "chrf": lambda: CHRF(word_order=2)}.items():
        named = [("baseline", baseline), ("system", system)]
        results = {}
        for kind, samples in {"bs": SAMPLES, "ar": TRIALS}.items():
            _, scores = PairedTest(named, {name: make()}, [targets], test_type=kind, n_samples=samples)()
            key = next(k for k in scores if k != "System")
            results[kind] = [{k: float(v) for k, v in vars(r).items() if v is not None} for r in scores[key]]
        golden[name] = {**results, "exact": exact_bootstrap(make(), baseline, system, [targets], indices)}
        print(name, results, {k: v for k, v in golden[name]["exact"].items() if k != "values"})
    write_json(fresh_folder("eval-significance") / "golden.json", golden)
