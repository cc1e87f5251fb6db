"""data/awq-llama/: tiny models, and the folders that AutoAWQ makes of them by plain rounding, with their logits.

    PYTHONPATH=DIR python awq_llama.py      # DIR by: pip install --no-deps --target DIR autoawq==0.2.9

The witness for reading: AutoAWQ's pseudo_quantize_tensor decides, WQLinear_GEMM packs, dequantize_gemm gives the weights that
transformers computes the logits with, in float32.
"""

import json
import math
import warnings
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from common import fresh_folder, versions, write_json, write_tensors
from llama import forward, make_batches, without_padding

warnings.simplefilter("ignore")
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402

from awq_check import dequantised, read  # noqa: E402
from awq_layers import quantizer  # noqa: E402

SHAPE = {
    "vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
    "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
CASES = {
    # grouped queries and a bias on every projection
    "gqa-bias": {"num_hidden_layers": 2, "num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
    # as many key-value heads: scales of o_proj go into v_proj
    "mha-tied": {"num_hidden_layers": 1, "num_key_value_heads": 4, "tie_word_embeddings": True},
}
GROUP = 32


def make_base(folder: Path, changes: dict, seed: int) -> LlamaForCausalLM:
    """Saved in bfloat16, with a few large channels after each norm: what AWQ is for."""
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, **changes, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}))
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name:
                p.copy_(1 + 0.2 * noise)
                p[torch.randperm(len(p), generator=g)[:3]] *= 8
            elif name.endswith(".bias"):
                p.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                p.copy_(0.5 * noise)
            else:
                p.copy_(noise * (0.7 / math.sqrt(p.shape[1])))
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return model.float()


def rounded(model: LlamaForCausalLM, folder: Path) -> None:
    """The model's blocks as AutoAWQ stores them, everything else in float16; its own config's words in config.json."""
    search = quantizer(GROUP)
    tensors = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight.data, scales, zeros = search.pseudo_quantize_tensor(module.weight.data)
            made = WQLinear_GEMM.from_linear(module, 4, GROUP, scales=scales.t().contiguous(), zeros=zeros.t().contiguous())
            tensors |= {f"{name}.{key}": value for key, value in made.state_dict().items()}
    for name, p in model.state_dict().items():
        tied = model.config.tie_word_embeddings and name == "lm_head.weight"
        if name not in tensors and name.removesuffix(".weight") + ".qweight" not in tensors and not tied:
            tensors[name] = p.half()
    config = json.loads((folder.parent / "base" / "config.json").read_text())
    config["dtype"] = "float16"
    config["quantization_config"] = {
        "bits": 4, "group_size": GROUP, "modules_to_not_convert": None, "quant_method": "awq", "version": "gemm", "zero_point": True,
    }  # fmt: skip
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_tensors(folder / "model.safetensors", {name: tensors[name] for name in sorted(tensors)})


def main() -> None:
    root = fresh_folder("awq-llama")
    padded, _ = make_batches([23, 11, 30], SHAPE["vocab_size"], 3)
    for seed, (case, changes) in enumerate(CASES.items()):
        folder = root / case
        model = make_base(folder / "base", changes, seed)
        rounded(model, folder / "autoawq")
        with torch.no_grad():
            logits = without_padding(forward(dequantised(*read(folder / "autoawq"))[0], padded), padded)
        write_tensors(folder / "golden.safetensors", {"logits": logits})
    write_json(root / "golden.json", {
        "cases": list(CASES), "groupSize": GROUP, "padded": padded, "versions": versions("torch", "transformers", "autoawq"),
    })  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    main()
