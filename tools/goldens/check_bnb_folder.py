"""Loads a quantised folder with transformers and bitsandbytes, and compares its logits with given ones.

    python check_bnb_folder.py FOLDER INPUTS.json [OURS.json] [--out OUT.json] [--tolerance 1e-3]

INPUTS is {batch, seq, tokens, positions, segments}, flat and row-major, as `padded` in the golden files (an object with
`padded` in it will do). OURS is {logits}, or {shape, logits}: [tokens, vocab] flat, of the positions whose segment is not
0; OUT gets the same as transformers has them, with `quantized`: the modules that it runs from codes. Computes in float32
over the weights as they are stored: int8 without rounding the activations, which bitsandbytes does outside of training.
Exit status 1, with the reason, when a tensor is missing, left over or of another shape, when no module is quantised, or
when the logits differ by more than the tolerance, relative to the largest of them.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from common import versions, write_json
from llama import forward, without_padding

QUANTISED = (bnb.nn.Linear4bit, bnb.nn.Linear8bitLt)


def differences(folder: Path, model) -> list[str]:
    """Tensors of the folder that the loaded model does not have, or has with other values. transformers is silent about these."""
    held = model.state_dict()
    if model.config.tie_word_embeddings:
        held.pop("lm_head.weight", None)
    found = {name: t for file in folder.glob("model*.safetensors") for name, t in load_file(file).items()}
    wrong = [f"the model lacks {name}" for name in found.keys() - held.keys()]
    wrong += [f"the folder lacks {name}" for name in held.keys() - found.keys()]
    for name in found.keys() & held.keys():
        ours, theirs = found[name], held[name]
        if ".quant_state." in name:  # JSON: its spelling is free
            same = json.loads(bytes(ours.tolist())) == json.loads(bytes(theirs.tolist()))
        else:
            same = ours.shape == theirs.shape and torch.equal(ours.to(theirs.dtype), theirs)
        if not same:
            wrong.append(f"the model holds another {name}")
    return sorted(wrong)


def load(folder: Path):
    """The model in float32 but for its codes, and what is wrong with the folder's tensors."""
    model, found = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", device_map={"": "cpu"}, output_loading_info=True
    )
    wrong = [f"{kind.removesuffix('_keys')}: {name}" for kind, names in found.items() for name in sorted(map(str, names or []))]
    wrong += differences(folder, model)
    for p in model.parameters():
        if p.is_floating_point():
            p.data = p.data.float()
    return model.train(), wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("ours", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    options = parser.parse_args()

    model, wrong = load(options.folder)
    modules = sorted(name for name, module in model.named_modules() if isinstance(module, QUANTISED))
    if not modules:
        wrong.append("no module is quantised")
    if wrong:
        sys.exit("\n".join(wrong))
    batch = json.loads(options.inputs.read_text())
    batch = batch.get("padded", batch)
    with torch.no_grad():
        logits = without_padding(forward(model, batch), batch)
    if options.out:
        write_json(options.out, {
            "shape": list(logits.shape), "logits": logits.flatten().tolist(), "quantized": modules,
            "versions": versions("torch", "transformers", "bitsandbytes"),
        })  # fmt: skip
    print(f"{len(modules)} quantised modules")
    if options.ours:
        ours = torch.tensor(json.loads(options.ours.read_text())["logits"])
        if ours.numel() != logits.numel():
            sys.exit(f"{ours.numel()} logits of ours, {logits.numel()} of transformers")
        difference = (ours.view(logits.shape) - logits).abs().max().item() / logits.abs().max().item()
        print(f"largest difference {difference:.3g} of the largest logit, {logits.abs().max().item():.4g}")
        if not difference <= options.tolerance:
            sys.exit(f"more than {options.tolerance:g}")


if __name__ == "__main__":
    disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    main()
