"""A tiny Llama quantised by transformers and bitsandbytes: the folders they write, logits, QLoRA gradients and traces.

    python bnb_model.py --save --device cuda --out DIR        on a machine with a GPU: the base, the adapter, the folders
    python bnb_model.py [--saved DIR] [--out data/bnb-llama]   what they compute, on the CPU, in float32

Writes OUT/base/ (bfloat16), OUT/adapter/ (a PEFT adapter, B not zero) and OUT/<case>/, layout in README.md. Without DIR the
folders are saved on the CPU, whose codes are others in FP4 and int8. A base or an adapter that data/bnb-llama/ has already
is read, so that another device starts from the same numbers.
"""

import argparse
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import bitsandbytes as bnb
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from common import DATA, versions, write_json, write_tensors
from llama import (
    adapted_modules,
    adapter_state,
    distance,
    forward,
    lora_config,
    loss_sum,
    make_batches,
    make_model,
    save_adapter,
    saved_name,
    without_padding,
)

HOME = DATA / "bnb-llama"
STEPS = 20
LEARNING_RATE = 1e-2

# 72 * 300 elements are 337 blocks of 64 and a half one, in two nested blocks; the other Linears have whole blocks.
BASE = LlamaConfig(
    vocab_size=96, hidden_size=72, intermediate_size=300, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
    max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=None,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attn_implementation="eager", dtype="float32",
)  # fmt: skip

# `dtype`: that of everything that is not quantised, and the one that the quantised weights say they had.
CASES = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "nf4-bf16": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, dtype=torch.bfloat16),
    "fp4-tied": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", tied=True),
    "int8": dict(load_in_8bit=True),
}


def make_base(folder: Path) -> None:
    """Rounded to bfloat16, so that the float32 model has the values of the file."""
    if (HOME / "base").exists():
        if folder != HOME / "base":
            shutil.copytree(HOME / "base", folder, dirs_exist_ok=True)
        return
    make_model(BASE, 2000).to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def make_adapter(folder: Path, base: Path) -> None:
    if (HOME / "adapter").exists():
        if folder != HOME / "adapter":
            shutil.copytree(HOME / "adapter", folder, dirs_exist_ok=True)
        return
    torch.manual_seed(2500)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), lora_config())
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.15)
    save_adapter(model, folder)


def without_head(base: Path, folder: Path) -> Path:
    """The base with its head tied to the embedding."""
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    model.save_pretrained(folder)
    return folder


def made_by(device: str) -> dict:
    gpu = {"device": torch.cuda.get_device_name() if device == "cuda" else "CPU"}
    return {**versions("torch", "transformers", "bitsandbytes", "peft", "accelerate"), **gpu}


def save_case(name: str, base: Path, folder: Path, device: str) -> None:
    """Quantises the base and leaves what save_pretrained writes, untouched."""
    settings = dict(CASES[name])
    dtype, tied = settings.pop("dtype", torch.float32), settings.pop("tied", False)
    with tempfile.TemporaryDirectory() as other:
        config = BitsAndBytesConfig(**settings)  # its compute dtype is float32 unless told otherwise
        source = without_head(base, Path(other)) if tied else base
        model = LlamaForCausalLM.from_pretrained(source, dtype=dtype, device_map={"": device}, quantization_config=config)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def load_case(folder: Path) -> LlamaForCausalLM:
    """The folder as a float32 model over its quantised weights. (transformers keeps the dtype of a quantised folder.)"""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", device_map={"": "cpu"})
    for p in model.parameters():
        if p.is_floating_point():
            p.data = p.data.float()
    return model


def dequantised(folder: Path) -> LlamaForCausalLM:
    """The same with every quantised weight as a float32 matrix in an ordinary Linear, rounded to the dtype it once had."""
    return load_case(folder).dequantize(torch.float32).float()


def evaluate(model, batch: dict) -> tuple[dict, torch.Tensor, dict[str, torch.Tensor]]:
    """Mean loss over target tokens, logits, and its gradient by the name under which PEFT saves a parameter."""
    model.zero_grad(set_to_none=True)
    logits = forward(model, batch)
    total = loss_sum(logits, batch)
    (total / batch["targetTokens"]).backward()
    loss = {"sum": total.item(), "count": batch["targetTokens"], "mean": total.item() / batch["targetTokens"]}
    grads = {saved_name(name): p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    return loss, without_padding(logits, batch).detach(), grads


def with_adapter(folder: Path, adapter: Path) -> PeftModel:
    """In training mode, in which bitsandbytes' int8 Linear on a CPU multiplies by the weights as they are."""
    model = PeftModel.from_pretrained(load_case(folder), adapter, is_trainable=True)
    assert all(p.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
    return model.train()


def trace(folder: Path, adapter: Path, batch: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """STEPS steps of bitsandbytes' AdamW8bit with 8-bit state for every parameter; losses[i] is before step i + 1.

    Without weight decay, which its CPU and CUDA kernels put in different places.
    """
    model = with_adapter(folder, adapter)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = bnb.optim.AdamW8bit(params, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, min_8bit_size=0)
    losses = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = loss_sum(forward(model, batch), batch) / batch["targetTokens"]
        losses.append(loss.item())
        if step < STEPS:
            loss.backward()
            optimizer.step()
    for p in params:
        assert optimizer.state[p]["state1"].dtype == torch.uint8, "the state was to be 8-bit"
    settings = {"optimizer": "adamw8bit", "learningRate": LEARNING_RATE, "betas": [0.9, 0.999], "eps": 1e-8,
                "weightDecay": 0.0, "min8bitSize": 0}  # fmt: skip
    return {**settings, "losses": losses}, adapter_state(model)


def generate(name: str, home: Path, batch: dict, saved_by: dict) -> None:
    folder, adapter = home / name, home / "adapter"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tensors: dict[str, torch.Tensor] = {}
    golden = {"case": name, "savedBy": saved_by, "versions": made_by("cpu")}

    model = load_case(folder)
    with torch.no_grad():
        tensors["logits"] = without_padding(forward(model.train(), batch), batch)
        if name == "int8":
            tensors["logits.int8"] = without_padding(forward(model.eval(), batch), batch)
        plain = dequantised(folder)
        golden["agreement"] = {"dequantisedLogits": distance(without_padding(forward(plain, batch), batch), tensors["logits"])}
        total = loss_sum(forward(model.train(), batch), batch).item()
    golden["loss"] = {"sum": total, "count": batch["targetTokens"], "mean": total / batch["targetTokens"]}
    quantised = sorted(n for n, m in model.named_modules() if isinstance(m, (bnb.nn.Linear4bit, bnb.nn.Linear8bitLt)))
    golden["quantized"] = quantised

    # The backward of bitsandbytes rounds a weight to the dtype it once had, its forward does not: no golden for bfloat16.
    rounded = CASES[name].get("dtype") == torch.bfloat16
    if not rounded:
        lora = with_adapter(folder, adapter)
        loss, tensors["lora.logits"], grads = evaluate(lora, batch)
        tensors |= {f"lora.grad.{k}": g for k, g in grads.items()}
        golden["lora"] = {"modules": adapted_modules(lora), "loss": loss}
        golden["trace"], final = trace(folder, adapter, batch)
        tensors |= {f"final.{k}": v for k, v in final.items()}
        faint = min((g.norm() / g.numel() ** 0.5).item() for g in grads.values())
        losses = golden["trace"]["losses"]
        assert losses[-1] < 0.5 * losses[0], "the trace hardly moves"
        print(f"{name}: LoRA {loss['mean']:.4f}, trace {losses[0]:.4f} -> {losses[-1]:.4f}, faintest gradient rms {faint:.1e}")

    print(f"{name}: loss {golden['loss']['mean']:.4f}, {golden['agreement']}")
    assert golden["agreement"]["dequantisedLogits"] < (1e-2 if rounded else 1e-5), golden["agreement"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "running the model changed its folder"
    write_json(folder / "golden.json", golden)
    write_tensors(folder / "golden.safetensors", tensors)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--saved", type=Path)
    parser.add_argument("--out", type=Path, default=HOME)
    options = parser.parse_args()
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    make_base(out / "base")
    make_adapter(out / "adapter", out / "base")
    for name in CASES:
        if options.saved:
            shutil.rmtree(out / name, ignore_errors=True)
            shutil.copytree(options.saved / name, out / name, ignore=shutil.ignore_patterns("golden.*"))
        else:
            save_case(name, out / "base", out / name, options.device)
    saved_by = json.loads((options.saved / "saved.json").read_text()) if options.saved else made_by(options.device)
    if options.save:
        write_json(out / "saved.json", saved_by)
        return
    padded, _ = make_batches([24, 17, 9], BASE.vocab_size, 2000)
    write_json(out / "batch.json", {"padded": padded})
    for name in CASES:
        generate(name, out, padded, saved_by)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    main()
