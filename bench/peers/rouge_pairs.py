"""ROUGE-1, 2, L and Lsum of every pair with rouge_score and their means, one answer a line on standard input.

    python rouge_pairs.py PAIRS.json, then {"stemmer": true | false}
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from race import serve
from rouge_score.rouge_scorer import RougeScorer

pairs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["pairs"]
types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def step(task: dict) -> dict:
    scorer = RougeScorer(types, use_stemmer=task["stemmer"])
    start = time.perf_counter()
    scores = [scorer.score_multi(references, prediction) for prediction, references in pairs]
    means = {name: sum(score[name].fmeasure for score in scores) / len(scores) for name in types}
    return {"seconds": time.perf_counter() - start, "score": means["rougeLsum"]}


serve({"rouge_score": version("rouge-score")}, step)
