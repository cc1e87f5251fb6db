"""Greedy text of the converted stories260K by transformers, against the published one.

    node ../convert_stories260k.mjs SRC_DIR OUT_DIR && python stories260k_check.py SRC_DIR OUT_DIR
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

STEPS = 256  # as llama2.c's run does unless told otherwise


def main(source: Path, folder: Path) -> None:
    story = (source / "stories260K.md").read_text(encoding="utf-8").split("-t 0.0\n")[1].split("\n```")[0]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = torch.tensor([[1]])
    out = model.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=STEPS, do_sample=False, pad_token_id=0,
                         eos_token_id=1, output_logits=True, return_dict_in_generate=True)  # fmt: skip
    text = tokenizer.decode(out.sequences[0], skip_special_tokens=True)
    if text.strip() != story.strip():
        sys.exit(f"published:\n{story}\n\nhere:\n{text}")
    ids = out.sequences[0].tolist()
    if ids[-1] == 1:  # BOS ends a story; it is no part of the text
        ids.pop()
    if tokenizer(text)["input_ids"] != ids:
        print("note: the model spells the text with other pieces than the tokenizer")
    tops = torch.cat(out.logits).topk(2).values
    print(f"equal: {len(ids) - 1} tokens, {len(text)} characters, smallest lead {(tops[:, 0] - tops[:, 1]).min():.4f}")


if __name__ == "__main__":
    disable_progress_bar()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
