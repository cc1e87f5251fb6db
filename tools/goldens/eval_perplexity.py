"""Strided perplexity and the loss of chat rows, by transformers in float64 on weights of float32.

    python eval_perplexity.py        writes data/eval-perplexity/golden.json, layout in README.md
"""

import math

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from common import DATA, fresh_folder, versions, write_json

IGNORED = -100
QUICKSTART = DATA.parents[2] / "examples" / "quickstart" / "model"
TEXT = (
    "The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳过了懒狗。\n"
    "What is the capital of France? 法国的首都是哪里？ Numbers: 1, 2, 3, 42; émigré, naïve, 🙂.\n"
) * 6


def strided(model, ids: list[int], max_length: int, stride: int) -> dict:
    """The loop of "Perplexity of fixed-length models", with the tokens that really have a loss counted beside its own count."""
    tokens = torch.tensor([ids])
    nll, count, guide_nll, guide_count, before = 0.0, 0, 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + max_length, len(ids))
        window = tokens[:, begin:end]
        labels = window.clone()
        labels[:, : -(end - before)] = IGNORED
        valid = (labels[:, 1:] != IGNORED).sum().item()
        if valid:
            with torch.no_grad():
                loss = model(input_ids=window, labels=labels).loss.item()
            nll += loss * valid
            count += valid
            guess = (labels != IGNORED).sum().item() - 1
            guide_nll += loss * guess
            guide_count += guess
        before = end
        if end == len(ids):
            break
    return {
        "maxLength": max_length, "stride": stride, "nll": nll, "tokens": count, "perplexity": math.exp(nll / count),
        "guide": math.exp(guide_nll / guide_count) if guide_count else None,
    }  # fmt: skip


def load(folder) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64)


def tiny() -> dict:
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(3, 96, (157,), generator=generator).tolist()
    model = load(DATA / "llama-gqa")
    sizes = [(512, 512), (512, 1), (157, 40), (64, 64), (64, 32), (64, 63), (48, 7), (16, 1), (2, 1), (2, 2), (156, 156)]
    rows = []
    for length, prompt in [(24, 8), (5, 1), (60, 59), (33, 0)]:
        row = torch.randint(3, 96, (length,), generator=generator).tolist()
        targets = [IGNORED if i < prompt - 1 or i == length - 1 else row[i + 1] for i in range(length)]
        labels = torch.full((1, length), IGNORED)
        labels[0, 1:] = torch.tensor(targets[:-1])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([row]), labels=labels).loss.item()
        count = sum(t != IGNORED for t in targets)
        rows.append({"tokens": row, "targets": targets, "nll": loss * count, "count": count})
    return {"ids": ids, "runs": [strided(model, ids, *size) for size in sizes], "rows": rows}


def quickstart() -> dict:
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART)
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    model = load(QUICKSTART)
    size = model.config.max_position_embeddings
    runs = [strided(model, ids, *pair) for pair in [(size, size // 2), (128, 128), (128, 32)]]
    size_of = len(TEXT.encode())
    for run in runs:
        run["bitsPerByte"] = run["nll"] / size_of / math.log(2)
        run["bytePerplexity"] = math.exp(run["nll"] / size_of)
    return {"text": TEXT, "bytes": size_of, "ids": ids, "runs": runs}


if __name__ == "__main__":
    write_json(
        fresh_folder("eval-perplexity") / "golden.json",
        {"versions": versions("torch", "transformers"), "llama-gqa": tiny(), "quickstart": quickstart()},
    )
