"""SmolLM2-135M-Instruct from its GGUF file: tokens, loss, logits and greedy text by transformers in float32.

python smollm2.py MODEL.gguf ALPACA.json        writes data/smollm2/golden.json
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from common import fresh_folder, versions, write_json

IGNORED = -100
ROWS = 4
MAX_TOKENS = 128
CONTROL = 3  # token type of GGUF

# Greedy text is recorded for the first three whose every choice is clear, so that rounding cannot decide one.
GREEDY_PROMPTS = 3
CLEAR_LEAD = 0.02
PROMPTS = [
    "What is the capital of France?", "Write one sentence about the sea.", "List three colours.", "Count from one to ten.",
    "Say hello in Spanish.", "Name the planets of the solar system.", "What is 2 + 2?", "Who wrote Hamlet?",
]  # fmt: skip

STRINGS = [
    "", " ", "  ", "\n", "\n\n\n", "\t", "\t\t x", " \n \n", "\r\n", "a\r\nb",
    "Hello", " Hello", "  Hello", "Hello ", "Hello  world", "Hello\n\nworld\n", "HELLO world!", "don't I'll we've he'd they're it's I'm", "DON'T",
    "1", "12", "123", "1234567890", "in 2024", "x   12", "x\n12", " 3.14159", "1,000,000.00 €", "v1.2.3-rc4", "0x1F 0b101", "½ ² Ⅷ ٣٤",
    "def f(x):\n    return x + 1\n", "for (let i = 0; i < 10; i++) { a[i] += 2; }", "\tif x:\n\t\tpass", "<div class=\"a\">&nbsp;</div>",
    "SELECT * FROM t WHERE id=42;", "https://example.org/a?b=c&d=1#e", "a_b-c.d/e\\f", "==== ---- ////", "{\"k\": [1, 2.5e-3, null]}",
    "你好,世界", "こんにちは世界", "한국어 문장", "日本語とEnglishの混在 42", "Привет, мир!", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "ไทย", "Ünïcödé façade naïve",
    "e\u0301 é", "ﬁ ligature", "👍", "👩‍👩‍👧‍👦 family", "🇫🇷🏳️‍🌈", "a\u200bb\ufeffc", "\u00a0nbsp\u2003em", "\x00\x01\x7f", "�", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎",
    "the quick brown fox jumps over the lazy dog", "antidisestablishmentarianism", "aaaaaaaaaaaaaaaaaaaaaaaa", "   leading and trailing   ",
]  # fmt: skip

SPECIAL = [
    "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|>", "a<|im_end|>b", "<|endoftext|><|endoftext|>", " <|im_start|> assistant",
    "<|im_start", "<repo_name>x<file_sep>y", "<|im_end|>\n<|im_start|>assistant\n",
]  # fmt: skip


def field(reader: GGUFReader, key: str):
    return reader.fields[key].contents()


def make_tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """Vocabulary, merges and chat template of the file, split as SmolLM2's tokenizer.json says: each digit by itself, then GPT-2.

    transformers' own conversion from GGUF leaves the digit rule out, and so splits "x   12" differently.
    """
    assert (field(reader, "tokenizer.ggml.model"), field(reader, "tokenizer.ggml.pre")) == ("gpt2", "smollm")
    tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types, strict=True) if kind == CONTROL])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=field(reader, "tokenizer.chat_template"), bos_token="<|im_start|>",
                                   eos_token="<|im_end|>", clean_up_tokenization_spaces=False)  # fmt: skip


def make_batch(tokenizer: PreTrainedTokenizerFast, rows: list[dict]) -> dict:
    """Rendered, tokenised and cut to MAX_TOKENS; loss on the assistant's text and the <|im_end|> behind it, nothing else."""
    conversations, all_tokens, all_targets = [], [], []
    for row in rows:
        user = row["instruction"] + ("\n" + row["input"] if row["input"] else "")
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
        assert text == prompt + row["output"] + "<|im_end|>\n"
        start = len(tokenizer(prompt)["input_ids"])
        tokens = tokenizer(text)["input_ids"]
        assert tokens[:start] == tokenizer(prompt)["input_ids"]
        end = len(tokens) - 1  # the newline after <|im_end|>
        assert tokens[end - 1] == tokenizer.eos_token_id
        wanted = [token if start <= i < end else IGNORED for i, token in enumerate(tokens)][:MAX_TOKENS]
        conversations.append({"messages": messages, "text": text, "promptTokens": start, "allTokens": len(tokens)})
        all_tokens.append(tokens[:MAX_TOKENS])
        all_targets.append([*wanted[1:], IGNORED])
    seq = max(map(len, all_tokens))
    lengths = [len(t) for t in all_tokens]
    return {
        "conversations": conversations, "lengths": lengths, "batch": len(rows), "seq": seq,
        "tokens": [x for t in all_tokens for x in t + [0] * (seq - len(t))],
        "targets": [x for t in all_targets for x in t + [IGNORED] * (seq - len(t))],
    }  # fmt: skip


@torch.no_grad()
def evaluate(model, batch: dict) -> dict:
    tokens, targets = (torch.tensor(batch[k]).view(batch["batch"], batch["seq"]) for k in ("tokens", "targets"))
    mask = torch.arange(batch["seq"]) < torch.tensor(batch["lengths"])[:, None]
    logits = model(input_ids=tokens, attention_mask=mask.long(), use_cache=False).logits
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    wanted = targets.flatten() != IGNORED
    total, count = losses.double().sum().item(), int(wanted.sum())
    last = []
    for row, length in enumerate(batch["lengths"]):
        top = logits[row, length - 1].topk(16)
        last.append({"position": length - 1, "ids": top.indices.tolist(), "logits": top.values.tolist()})
    return {"loss": {"sum": total, "count": count, "mean": total / count}, "tokenLosses": losses[wanted].tolist(), "lastLogits": last}


@torch.no_grad()
def continue_greedily(model, tokenizer, prompt: str) -> dict:
    """32 tokens at most, stopping after <|im_end|>. `margin`: the smallest lead of a chosen token over the next best."""
    ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True)["input_ids"]
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), max_new_tokens=32, do_sample=False,
                         eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
                         output_logits=True, return_dict_in_generate=True)  # fmt: skip
    tops = torch.cat(out.logits).topk(2).values
    margin = (tops[:, 0] - tops[:, 1]).min().item()
    new = out.sequences[0, len(ids) :].tolist()
    return {"prompt": prompt, "promptIds": ids, "ids": new, "text": tokenizer.decode(new, skip_special_tokens=True), "margin": margin}


def greedy_texts(model, tokenizer) -> list[dict]:
    out = []
    for prompt in PROMPTS:
        found = continue_greedily(model, tokenizer, prompt)
        if found["margin"] > CLEAR_LEAD:
            out.append(found)
        if len(out) == GREEDY_PROMPTS:
            return out
    raise RuntimeError("too few prompts with a clear greedy continuation")


def main(gguf: Path, alpaca: Path) -> None:
    reader = GGUFReader(gguf)
    tokenizer = make_tokenizer(reader)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32, attn_implementation="eager").eval()
    batch = make_batch(tokenizer, json.loads(alpaca.read_text(encoding="utf-8"))[:ROWS])
    encode = tokenizer.backend_tokenizer.encode
    folder = fresh_folder("smollm2")
    write_json(folder / "golden.json", {
        "versions": versions("torch", "transformers", "tokenizers", "gguf"),
        "model": {"file": "SmolLM2-135M-Instruct.Q4_1.gguf", "sha256": hashlib.sha256(gguf.read_bytes()).hexdigest()},
        "data": {"file": alpaca.name, "rows": list(range(ROWS))},
        "batch": batch, **evaluate(model, batch),
        "greedy": greedy_texts(model, tokenizer),
        "tokenizer": [{"text": s, "ids": encode(s, add_special_tokens=False).ids} for s in STRINGS + SPECIAL],
    })  # fmt: skip


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    disable_progress_bar()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
