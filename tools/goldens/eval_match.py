"""Exact match, SQuAD's exact match and F1, and accuracy of the pairs of eval_pairs.py.

    python tools/goldens/eval_match.py EVALUATE

EVALUATE is a checkout of github.com/huggingface/evaluate. Writes data/eval-match/golden.json: of every pair by itself 0 or 1, in
one string, or an F1 (float64, little-endian, base64), and of all pairs what the metric prints.
"""

import importlib
import re
import sys
from pathlib import Path

from common import fresh_folder, versions, write_json
from eval_bleu import packed
from eval_pairs import load
from sklearn.metrics import accuracy_score

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    exact_match = importlib.import_module("metrics.exact_match.exact_match").ExactMatch()
    squad = importlib.import_module("metrics.squad.compute_score")
    squad_metric = importlib.import_module("metrics.squad.squad").Squad()
    pairs = load()["pairs"]
    predictions = [prediction for prediction, _ in pairs]
    firsts = [references[0] for _, references in pairs]
    # NumPy drops NUL at the end of a string, which would make other strings equal
    assert not any(text.endswith("\0") for text in predictions + firsts)

    golden = {"versions": versions("evaluate", "numpy", "scikit-learn")}
    for options in [
        {},
        {"ignore_case": True},
        {"ignore_punctuation": True},
        {"ignore_numbers": True},
        {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True},
        {"regexes_to_ignore": ["[aeiou]+", "[：，。]"], "ignore_case": True},
    ]:
        each = [exact_match._compute([p], [r], **options)["exact_match"] for p, r in zip(predictions, firsts)]
        whole = float(exact_match.compute(predictions=predictions, references=firsts, **options)["exact_match"])
        golden[f"exactMatch {options}"] = {"options": options, "each": "".join(str(int(x)) for x in each), "score": whole}

    best = lambda metric: [squad.metric_max_over_ground_truths(metric, p, r) for p, r in pairs]  # noqa: E731
    answers = [{"id": str(i), "answers": {"text": r, "answer_start": [0] * len(r)}} for i, (_, r) in enumerate(pairs)]
    whole = squad_metric.compute(predictions=[{"id": str(i), "prediction_text": p} for i, p in enumerate(predictions)], references=answers)
    golden["squad"] = {
        "normalized": [squad.normalize_answer(p) for p in predictions if len(p) < 500],
        "exactMatch": "".join(str(int(x)) for x in best(squad.exact_match_score)),
        "f1": packed(best(squad.f1_score)),
        "score": {key: float(value) for key, value in whole.items()},
    }
    # the first word as a label
    word = lambda text: (re.findall(r"[a-z]+", text.lower()) or [""])[0]  # noqa: E731
    golden["accuracy"] = float(accuracy_score([word(r) for r in firsts], [word(p) for p in predictions]))
    write_json(fresh_folder("eval-match") / "golden.json", golden)
