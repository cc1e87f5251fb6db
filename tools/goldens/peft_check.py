"""Loads an adapter folder with PEFT, strictly, and writes the logits of a batch.

    python peft_check.py BASE_DIR ADAPTER_DIR INPUTS.json OUT.json

INPUTS is {batch, seq, tokens, positions, segments}, flat and row-major, as `padded` in the golden files. OUT gets
{shape, logits, modules, versions}: logits [tokens, vocab] flat, of the positions whose segment is not 0.
Exit status 1, with the reason, when a tensor is missing, left over or of another shape, or when PEFT warns.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers.utils.logging import disable_progress_bar

from common import versions, write_json
from llama import adapted_modules, forward, load, without_padding


def problems(base: Path, adapter: Path) -> list[str]:
    """What is wrong with the file against the adapter that its own config describes."""
    wanted = get_peft_model_state_dict(get_peft_model(load(base), PeftConfig.from_pretrained(adapter)))
    found = load_file(adapter / "adapter_model.safetensors")
    out = [f"missing: {k}" for k in wanted.keys() - found.keys()] + [f"unexpected: {k}" for k in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        if wanted[name].shape != found[name].shape:
            out.append(f"{name} has shape {list(found[name].shape)}, PEFT wants {list(wanted[name].shape)}")
    return sorted(out)


def main(base: Path, adapter: Path, inputs: Path, out: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wrong = problems(base, adapter)
        model = None if wrong else PeftModel.from_pretrained(load(base), adapter)
    wrong += [f"warning: {w.message}" for w in caught if not issubclass(w.category, FutureWarning)]
    if wrong or model is None:
        sys.exit("\n".join(wrong))
    saved, loaded = load_file(adapter / "adapter_model.safetensors"), get_peft_model_state_dict(model)
    assert all(torch.equal(saved[name].float(), loaded[name]) for name in saved), "PEFT loaded other values than the file holds"
    batch = json.loads(inputs.read_text())
    with torch.no_grad():
        logits = without_padding(forward(model.eval(), batch), batch)
    write_json(out, {
        "shape": list(logits.shape), "logits": logits.flatten().tolist(), "modules": adapted_modules(model),
        "versions": versions("torch", "transformers", "peft"),
    })  # fmt: skip


if __name__ == "__main__":
    disable_progress_bar()
    main(*map(Path, sys.argv[1:5]))
