"""Loads an AWQ folder with transformers, which runs it in GPTQModel's layers, and compares with what AutoAWQ made of it.

    PYTHONPATH=DIR python awq_gptqmodel_check.py FOLDER INPUTS.json UNPACKED.safetensors

DIR by: pip install --no-deps --target DIR gptqmodel==7.7.0 pypcre tokenicer logbar device-smi threadpoolctl torchao defuser
INPUTS and UNPACKED are the second and third argument of awq_check.py. Prints how far the logits are apart: GPTQModel's layers
compute in float16 on a CPU; and the same with its dequantised weights in float32.
Exit status 1, with the reason, when a tensor is missing or left over, a layer is not quantised, or its weight is not
bit-equal to AutoAWQ's; or when the logits in float32 differ by more than 1e-3.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AwqConfig
from transformers.utils.logging import disable_progress_bar

from llama import forward, without_padding

warnings.simplefilter("ignore")
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear  # noqa: E402
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm  # noqa: E402


def unquantise(model, unpacked: dict[str, torch.Tensor]) -> list[str]:
    """Puts dense layers of float32 in the place of GPTQModel's; gives those whose weights are not AutoAWQ's."""
    wrong = []
    for name, layer in [(n, m) for n, m in model.named_modules() if isinstance(m, AwqTorchLinear)]:
        weight = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales.float(), 4, layer.group_size).float()
        integers, zeros, scales = (unpacked[f"{name}.{key}"].float() for key in ("integers", "zeros", "scales"))
        each = lambda x: x.repeat_interleave(layer.group_size, dim=0)  # noqa: E731
        if not torch.equal(weight, (integers - each(zeros)) * each(scales)):
            wrong.append(name)
        dense = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        dense.weight.data = weight.t().contiguous()
        if layer.bias is not None:
            dense.bias.data = layer.bias.float()
        model.set_submodule(name, dense)
    return wrong


@torch.no_grad()
def main(folder: Path, inputs: Path, file: Path) -> None:
    batch = json.loads(inputs.read_text())
    batch = batch.get("padded", batch)
    unpacked = load_file(file)
    model, found = AutoModelForCausalLM.from_pretrained(
        # its own choice would compile a kernel for minutes
        folder, quantization_config=AwqConfig(backend="torch_awq"), dtype=torch.float32, device_map={"": "cpu"},
        attn_implementation="eager", output_loading_info=True,
    )  # fmt: skip
    wrong = [f"{kind}: {name}" for kind, names in found.items() for name in names or []]
    missing = {name.removesuffix(".integers") for name in unpacked if name.endswith(".integers")}
    missing -= {name for name, m in model.named_modules() if isinstance(m, AwqTorchLinear)}
    wrong += [f"not quantised: {name}" for name in sorted(missing)]
    if wrong:
        sys.exit("\n".join(wrong))
    off = lambda: (without_padding(forward(model.eval(), batch), batch).float() - unpacked["logits"]).abs().max().item()  # noqa: E731
    half = off()
    wrong = [f"another weight: {name}" for name in unquantise(model, unpacked)]
    for p in model.parameters():
        p.data = p.data.float()
    single = off()
    print(f"logits differ by {half:.2e} in GPTQModel's layers, by {single:.2e} in float32")
    if wrong or not single <= 1e-3:
        sys.exit("\n".join(wrong) or "the logits in float32 are others")


if __name__ == "__main__":
    disable_progress_bar()
    main(*map(Path, sys.argv[1:4]))
