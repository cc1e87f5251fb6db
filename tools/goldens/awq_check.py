"""Unpacks an AWQ folder with AutoAWQ's own code, strictly, and computes logits from what it finds.

    PYTHONPATH=DIR python awq_check.py FOLDER INPUTS.json OUT.safetensors      # DIR: see awq_llama.py

INPUTS is {batch, seq, tokens, positions, segments}, flat and row-major, as `padded` in the golden files (an object with
`padded` in it will do). OUT gets, of every quantised layer, `<layer>.integers` and `<layer>.zeros`, U8 in the order of inputs
[in, out] and [groups, out], and `<layer>.scales`, F16; and `logits`, F32 [tokens, vocab], of the positions whose segment is
not 0, by transformers over the dequantised weights in float32.
Exit status 1, with the reason, when quantization_config is not AutoAWQ's, or a tensor is missing, left over, or of another
shape or type than WQLinear_GEMM has.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from common import write_tensors
from llama import forward, without_padding

warnings.simplefilter("ignore")
from awq.models._config import AwqConfig  # noqa: E402
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402
from awq.utils.packing_utils import dequantize_gemm, reverse_awq_order, unpack_awq  # noqa: E402


def read(folder: Path) -> tuple[LlamaForCausalLM, dict[str, torch.Tensor], AwqConfig]:
    """A model with AutoAWQ's layers, on no device yet, the folder's tensors and its quantisation."""
    own = json.loads((folder / "config.json").read_text())["quantization_config"]
    quant = AwqConfig.from_pretrained(str(folder))
    if (own["quant_method"], quant.w_bit, quant.version.lower(), quant.zero_point) != ("awq", 4, "gemm", True):
        sys.exit(f"quantization_config is {own}")
    config = AutoConfig.from_pretrained(folder, attn_implementation="eager")
    del config.quantization_config
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
        for name, module in list(model.model.named_modules()):
            if isinstance(module, torch.nn.Linear):
                bias = module.bias is not None
                layer = WQLinear_GEMM(4, quant.q_group_size, module.in_features, module.out_features, bias, "meta")
                model.model.set_submodule(name, layer)
    tensors = {name: t for file in sorted(folder.glob("model*.safetensors")) for name, t in load_file(file).items()}
    return model, tensors, quant


def problems(model: LlamaForCausalLM, tensors: dict[str, torch.Tensor]) -> list[str]:
    wanted = model.state_dict()
    if model.config.tie_word_embeddings:
        wanted.pop("lm_head.weight")
    out = [f"missing: {name}" for name in wanted.keys() - tensors.keys()] + [f"unexpected: {name}" for name in tensors.keys() - wanted.keys()]
    for name in wanted.keys() & tensors.keys():
        dtype = torch.int32 if name.endswith((".qweight", ".qzeros")) else torch.float16
        if tensors[name].shape != wanted[name].shape or tensors[name].dtype != dtype:
            out.append(f"{name} is {tensors[name].dtype} {list(tensors[name].shape)}, AutoAWQ wants {dtype} {list(wanted[name].shape)}")
    return sorted(out)


def dequantised(model: LlamaForCausalLM, tensors: dict[str, torch.Tensor], quant: AwqConfig) -> tuple[LlamaForCausalLM, dict]:
    """The model in float32 over dequantised weights, and every layer unpacked."""
    wrong = problems(model, tensors)
    if wrong:
        sys.exit("\n".join(wrong))
    weights = {name: t.float() for name, t in tensors.items() if t.is_floating_point() and not name.endswith(".scales")}
    unpacked = {}
    for name, module in model.named_modules():
        if isinstance(module, WQLinear_GEMM):
            qweight, qzeros, scales = (tensors[f"{name}.{key}"] for key in ("qweight", "qzeros", "scales"))
            integers, zeros = reverse_awq_order(*unpack_awq(qweight, qzeros, 4), 4)
            unpacked[f"{name}.integers"] = torch.bitwise_and(integers, 15).to(torch.uint8)
            unpacked[f"{name}.zeros"] = torch.bitwise_and(zeros, 15).to(torch.uint8)
            unpacked[f"{name}.scales"] = scales
            weights[f"{name}.weight"] = dequantize_gemm(qweight, qzeros, scales.float(), 4, quant.q_group_size).t()
    dense = LlamaForCausalLM(model.config).float().eval()
    if model.config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    dense.load_state_dict(weights, strict=True)
    return dense, unpacked


def main(folder: Path, inputs: Path, out: Path) -> None:
    batch = json.loads(inputs.read_text())
    batch = batch.get("padded", batch)
    model, unpacked = dequantised(*read(folder))
    with torch.no_grad():
        logits = without_padding(forward(model, batch), batch)
    write_tensors(out, {**unpacked, "logits": logits})


if __name__ == "__main__":
    disable_progress_bar()
    main(*map(Path, sys.argv[1:4]))
