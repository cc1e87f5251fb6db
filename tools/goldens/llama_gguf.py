"""Writes two of the golden Llama models as GGUF, as llama.cpp's converter lays them out, and checks them with transformers.

    python llama_gguf.py

Reads data/llama-gqa and data/llama-llama3-rope (made by llama.py), writes data/llama-gguf/{gqa,llama3-rope}.gguf in
float32. llama.cpp stores the rows of q and k in pairs instead of halves, and Llama 3's rope scaling as divisors of the
frequencies in rope_freqs.weight. The first file is loaded with transformers' own GGUF reader: the logits must be those of
the safetensors model. (That reader ignores rope_freqs, so the second file is checked by its divisors alone.)
Also writes rope-divisors.json: for several parameters of Llama 3's scaling the divisors as llama.cpp's converter computes them, in
torch's float32, and the frequencies that transformers has.
"""

import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from common import versions, write_json

here = Path(__file__).parent / "data"


def in_pairs(weight, heads):
    """[heads * d, in]: row i of a head's first half becomes row 2i, of its second half row 2i + 1."""
    out, width = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, width).swapaxes(1, 2).reshape(out, width)


def divisors(config):
    """What each frequency is divided by, from transformers' definition of rope type llama3."""
    rope = config["rope_parameters"]
    d = config["head_dim"]
    base = 1.0 / rope["rope_theta"] ** (np.arange(0, d, 2) / d)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    result = []
    for frequency in base:
        wavelength = 2 * math.pi / frequency
        if wavelength < high:
            result.append(1.0)
        elif wavelength > low:
            result.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            result.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(result, dtype=np.float32)


# head size, theta, longest context; factor, low and high factor, original context. The first three are Llama 3.1 8B, 3.2 1B, 3.2 3B
SCALINGS = [
    (128, 500000.0, 131072, 8.0, 1.0, 4.0, 8192),
    (64, 500000.0, 131072, 32.0, 1.0, 4.0, 8192),
    (128, 500000.0, 131072, 32.0, 1.0, 4.0, 8192),
    (16, 500000.0, 512, 8.0, 1.0, 4.0, 64),
    (8, 10000.0, 4096, 4.0, 1.0, 4.0, 1024),
    (128, 1000000.0, 65536, 16.0, 1.0, 8.0, 4096),
    (96, 10000.0, 20000, 2.5, 2.0, 6.0, 5000),
    (128, 500000.0, 60000, 6.0, 1.5, 7.0, 10007),
]


def converted(head_dim, theta, factor, low, high, context):
    """Divisors in torch's float32, as llama.cpp's converter writes them."""
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    result = []
    for frequency in frequencies:
        wavelength = 2 * math.pi / frequency
        if wavelength < context / high:
            result.append(1.0)
        elif wavelength > context / low:
            result.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            result.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(result, dtype=np.float32).tolist()


def scalings():
    found = []
    for head_dim, theta, longest, factor, low, high, context in SCALINGS:
        rope = {"rope_type": "llama3", "rope_theta": theta, "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": context}  # fmt: skip
        config = LlamaConfig(head_dim=head_dim, max_position_embeddings=longest, rope_parameters=rope)
        frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        found.append({"headDim": head_dim, "maxPositions": longest, **rope, "divisors": converted(head_dim, theta, factor, low, high, context),
                      "inverseFrequencies": frequencies.tolist()})  # fmt: skip
    return found


def write(case, target):
    folder = here / f"llama-{case}"
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, value in weights.items():
        if "q_proj" in name:
            value = in_pairs(value, heads)
        if "k_proj" in name:
            value = in_pairs(value, kv_heads)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), value)
    if config["rope_parameters"].get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", divisors(config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(case, file):
    golden = json.loads((here / f"llama-{case}" / "golden.json").read_text())
    want = load_file(here / f"llama-{case}" / "golden.safetensors")["logits"]
    batch = golden["padded"]
    shape = (batch["batch"], batch["seq"])
    tokens = torch.tensor(batch["tokens"]).reshape(shape)
    segments = torch.tensor(batch["segments"]).reshape(shape)
    model = LlamaForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=(segments > 0).long()).logits
    got = logits[segments > 0].numpy()
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error < 1e-5, error
    print(f"{file.name}: transformers' GGUF reader gives the same logits, {error:.1e}")


if __name__ == "__main__":
    out = here / "llama-gguf"
    out.mkdir(exist_ok=True)
    for case in ("gqa", "llama3-rope"):
        write(case, out / f"{case}.gguf")
    check("gqa", out / "gqa.gguf")
    write_json(out / "rope-divisors.json", {"versions": versions("torch", "transformers"), "scalings": scalings()})
