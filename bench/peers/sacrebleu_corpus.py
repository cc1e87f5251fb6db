"""BLEU and chrF++ of a corpus with sacrebleu, from texts to the score, one answer a line on standard input.

    python sacrebleu_corpus.py PAIRS.json, then {"metric": "bleu" | "chrf++"}

sacrebleu keeps what its tokenizers made of the last 65,536 texts. That is forgotten before every answer: a corpus is scored once.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import sacrebleu
from race import serve
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

pairs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["pairs"]
predictions = [prediction for prediction, _ in pairs]
references = [list(stream) for stream in itertools.zip_longest(*(refs for _, refs in pairs))]
metrics = {"bleu": BLEU(force=True), "chrf++": CHRF(word_order=2)}


def step(task: dict) -> dict:
    for tokenizer in (Tokenizer13a, TokenizerRegexp):
        tokenizer.__call__.cache_clear()
    start = time.perf_counter()
    score = metrics[task["metric"]].corpus_score(predictions, references).score
    return {"seconds": time.perf_counter() - start, "score": score}


serve({"sacrebleu": sacrebleu.__version__}, step)
