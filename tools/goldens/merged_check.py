"""Loads a merged folder with transformers, strictly, and compares it with ours and with PEFT's base and adapter.

    python merged_check.py FOLDER OURS [--base BASE --adapter ADAPTER] [--tolerance 1e-3]

FOLDER is what `ft merge` or `ft export --to safetensors` wrote; OURS names the files of merged_ours.mjs. BASE is a folder or a
.gguf file. All logits in float32; differences are absolute. A folder of 16 bits is compared with PEFT's merged weights
rounded to its dtype once, which is what the folder holds; how far that is from base and adapter in float32 is printed too.
Also compared, where the folder has a tokenizer: the ids of texts and of chats by its template, and the ids that end answers.
Exit status 1, with the reason, when a tensor is missing, left over or of another dtype, or anything differs.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from common import versions
from llama import forward, without_padding


def load(path: Path):
    at = {"pretrained_model_name_or_path": path}
    if path.suffix == ".gguf":
        at = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    model, found = AutoModelForCausalLM.from_pretrained(
        **at, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    wrong = [f"{kind}: {name}" for kind, names in found.items() for name in sorted(map(str, names or []))]
    return model.eval(), wrong


def tensor_problems(folder: Path, model, dtype: torch.dtype) -> list[str]:
    """What the files hold against what the model holds: every tensor once, in the dtype of the config, with its values."""
    held = model.state_dict()
    if model.config.tie_word_embeddings:
        held.pop("lm_head.weight", None)
    files = sorted(folder.glob("*.safetensors"))
    found = {name: (file.name, tensor) for file in files for name, tensor in load_file(file).items()}
    wrong = [f"the model lacks {name}" for name in found.keys() - held.keys()]
    wrong += [f"the folder lacks {name}" for name in held.keys() - found.keys()]
    for name in found.keys() & held.keys():
        tensor = found[name][1]
        if tensor.dtype != dtype:
            wrong.append(f"{name} is {tensor.dtype}, the config says {dtype}")
        if not torch.equal(tensor.float(), held[name]):
            wrong.append(f"the model holds another {name}")
    index = folder / "model.safetensors.index.json"
    if index.exists() and json.loads(index.read_text())["weight_map"] != {name: file for name, (file, _) in found.items()}:
        wrong.append("the index says something else than the shards")
    if index.exists() != (len(files) > 1):
        wrong.append(f"{len(files)} files, {'with' if index.exists() else 'without'} an index")
    return sorted(wrong)


def string_problems(folder: Path, model, ours: dict) -> list[str]:
    """Where transformers gives other ids than we do."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    wrong = []
    for each in ours["texts"]:
        ids = tokenizer(each["text"])["input_ids"]
        if ids != each["ids"]:
            wrong.append(f"{each['text']!r} is {ids} in transformers, {each['ids']} here")
    for each in ours["chats"]:
        ids = tokenizer.apply_chat_template(each["messages"], add_generation_prompt=True, return_dict=False)
        if ids != each["ids"]:
            wrong.append(f"the chat {each['messages']} is {ids} in transformers, {each['ids']} here")
    own = folder / "generation_config.json"
    generation = GenerationConfig.from_pretrained(folder) if own.exists() else model.generation_config
    ends = generation.eos_token_id
    ends = sorted({ends} if isinstance(ends, int) else set(ends or []))
    if ends != sorted(ours["eosTokenIds"]) or tokenizer.eos_token_id not in ends:
        wrong.append(f"answers end at {ends}, the tokenizer's end is {tokenizer.eos_token_id}, here {ours['eosTokenIds']}")
    print(f"  {len(ours['texts'])} texts and {len(ours['chats'])} chats: {'other' if wrong else 'the same'} ids; answers end at {ends}")
    return wrong


@torch.no_grad()
def logits_of(model, batch: dict) -> torch.Tensor:
    return without_padding(forward(model, batch), batch)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape, f"{list(a.shape)} and {list(b.shape)}"
    return (a - b).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    options = parser.parse_args()
    folder = options.folder

    ours = json.loads(Path(f"{options.ours}.json").read_text())
    merged, wrong = load(folder)
    dtype = getattr(torch, json.loads((folder / "config.json").read_text())["dtype"])
    wrong += tensor_problems(folder, merged, dtype)
    got = logits_of(merged, ours)
    print(f"{folder.name}: {dtype}, {len(list(folder.glob('*.safetensors')))} files, {list(got.shape)} logits, the largest {got.abs().max():.4g}; {versions('torch', 'transformers', 'peft')}")
    if "texts" in ours:
        wrong += string_problems(folder, merged, ours)

    compared = {"our forward": far(got, load_file(f"{options.ours}.safetensors")["logits"])}
    if options.base:
        base, _ = load(options.base)
        tuned = PeftModel.from_pretrained(base, options.adapter).eval() if options.adapter else base
        exact = logits_of(tuned, ours)
        if dtype == torch.float32:
            compared["base and adapter in PEFT" if options.adapter else "the base"] = far(got, exact)
        else:
            print(f"  unrounded base and adapter: {far(got, exact):.2e} away, by rounding to {dtype}")
            rounded = tuned.merge_and_unload() if options.adapter else tuned
            for p in rounded.parameters():
                p.data = p.data.to(dtype).float()
            compared["PEFT's merge, rounded" if options.adapter else "the base, rounded"] = far(got, logits_of(rounded, ours))
    for what, difference in compared.items():
        print(f"  {what}: {difference:.2e} at most")
        if not difference <= options.tolerance:
            wrong.append(f"{what} is {difference:.3g} away, more than {options.tolerance:g}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    disable_progress_bar()
    torch.set_num_threads(1)
    main()
