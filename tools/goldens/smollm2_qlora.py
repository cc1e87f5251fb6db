"""What PEFT and bitsandbytes make of examples/smollm2: LoRA and QLoRA on the very micro-batches that ft trains on.

    node tools/goldens/smollm2_batches.mjs MODEL.gguf ALPACA.json > batches.json
    python smollm2_qlora.py MODEL.gguf batches.json ../../examples/smollm2/curve-qlora.jsonl --device cpu|cuda

The learning rate of each step is read from a metrics file of ft. Prints the held-out loss, in nats per target token.
Needs torch, transformers, peft, bitsandbytes and gguf. The adapters start from PEFT's own random numbers.
"""

import argparse
import json
import os
import tempfile

import bitsandbytes
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def summed(model, batch, device):
    tokens, targets = (torch.tensor(batch[k], device=device).view(batch["batch"], batch["seq"]) for k in ("tokens", "targets"))
    logits = model(input_ids=tokens).logits.float()
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), int((targets >= 0).sum())


@torch.no_grad()
def held_out(model, batches, device):
    model.eval()
    parts = [summed(model, batch, device) for batch in batches]
    model.train()
    return sum(float(loss) for loss, _ in parts) / sum(count for _, count in parts)


def train(kind, folder, data, rates, device):
    torch.manual_seed(0)
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    quantised = {"quantization_config": nf4} if kind == "qlora" else {}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, device_map={"": device}, **quantised)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    trained = [p for p in model.parameters() if p.requires_grad]
    adamw = bitsandbytes.optim.AdamW8bit if kind == "qlora" else torch.optim.AdamW
    optimizer = adamw(trained, lr=1, weight_decay=0.01)
    print(kind, "step 0", round(held_out(model, data["heldOut"], device), 4), flush=True)
    for step, (batch, rate) in enumerate(zip(data["training"], rates), 1):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, count = summed(model, batch, device)
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(kind, "step", step, round(held_out(model, data["heldOut"], device), 4), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("batches")
    parser.add_argument("metrics")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    with open(options.batches) as file:
        data = json.load(file)
    with open(options.metrics) as file:
        rates = [event["learningRate"] for event in map(json.loads, file) if event["type"] == "step"]
    with tempfile.TemporaryDirectory() as folder:
        where, name = os.path.split(os.path.abspath(options.model))
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        # transformers takes a model for quantised that was, and refuses to save what it has decoded
        model.is_quantized = False
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(folder)
        for kind in ("lora", "qlora"):
            train(kind, folder, data, rates, options.device)


if __name__ == "__main__":
    main()
