"""data/awq/: packed words, dequantised values, scales and clips as AutoAWQ makes them.

    PYTHONPATH=DIR python awq_layers.py      # DIR by: pip install --no-deps --target DIR autoawq==0.2.9

AutoAWQ's own classes do the work: WQLinear_GEMM packs, dequantize_gemm unpacks, AwqQuantizer searches, all on the CPU in
float32 (its usual float16 rounds the scales of every candidate).
"""

import warnings

import torch

from common import fresh_folder, versions, write_json, write_tensors

warnings.simplefilter("ignore")
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402
from awq.quantize.quantizer import AwqQuantizer  # noqa: E402
from awq.utils.packing_utils import dequantize_gemm  # noqa: E402


def quantizer(group_size: int) -> AwqQuantizer:
    """One without a model, for its searches."""
    made = AwqQuantizer.__new__(AwqQuantizer)
    made.w_bit, made.group_size, made.zero_point, made.duo_scaling = 4, group_size, True, True
    made.n_parallel_calib_samples, made.max_chunk_memory = None, 2**30
    return made


class Layer(torch.nn.Linear):
    """AutoAWQ puts the weights back from state_dict().cpu(), which on the CPU would be the very weights that it changes."""

    def state_dict(self, *args, **kwargs):
        return {key: value.clone() for key, value in super().state_dict(*args, **kwargs).items()}


def packed(out: int, inputs: int, group_size: int, seed: int) -> dict[str, torch.Tensor]:
    """Integers, zeros and scales of a layer, and what WQLinear_GEMM stores of the weight that they make."""
    g = torch.Generator().manual_seed(seed)
    groups = inputs // group_size
    integers = torch.randint(0, 16, (out, inputs), generator=g)
    zeros = torch.randint(0, 16, (out, groups), generator=g)
    scales = (torch.rand(out, groups, generator=g) * 0.03 + 0.001).half().float()
    linear = torch.nn.Linear(inputs, out, bias=False)
    each = lambda x: x.repeat_interleave(group_size, dim=1)  # noqa: E731
    linear.weight.data = (integers - each(zeros)) * each(scales)
    made = WQLinear_GEMM.from_linear(
        linear, 4, group_size, scales=scales.t().contiguous(), zeros=zeros.t().contiguous().float()
    )
    back = dequantize_gemm(made.qweight, made.qzeros, made.scales.float(), 4, group_size)
    return {
        "integers": integers.t().to(torch.uint8), "zeros": zeros.t().to(torch.uint8), "scales": made.scales,
        "qweight": made.qweight, "qzeros": made.qzeros, "dequantised": back.t(),
    }  # fmt: skip


def searched(out: int, inputs: int, group_size: int, tokens: int, seed: int) -> dict[str, torch.Tensor]:
    """The best scales and clips of one layer over inputs of which a few channels are large."""
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, inputs, generator=g) * (0.02 + 0.03 * torch.rand(inputs, generator=g))
    x = torch.randn(1, tokens, inputs, generator=g) * (0.2 + torch.rand(inputs, generator=g))
    x[..., torch.randperm(inputs, generator=g)[:4]] *= 30
    linear = Layer(inputs, out, bias=False)
    linear.weight.data = weight.clone()
    made = quantizer(group_size)
    rounded, scales, zeros = made.pseudo_quantize_tensor(weight.clone())
    grouped = weight.view(-1, group_size).abs()
    w_mean = (grouped / (grouped.amax(dim=1, keepdim=True) + 1e-6)).view(out, inputs).mean(0)
    x_mean = x.abs().view(-1, inputs).mean(0)
    with torch.no_grad():
        best = made._compute_best_scale(x, w_mean, x_mean, linear, [linear], linear(x))
    clip = made._compute_best_clip(weight.clone(), x)
    return {
        "weight": weight, "x": x[0], "rounded": rounded, "roundedScales": scales, "roundedZeros": zeros,
        "scales": best, "clip": clip.squeeze(-1),
    }  # fmt: skip


def main() -> None:
    folder = fresh_folder("awq")
    tensors = {f"packed.{key}": value for key, value in packed(96, 192, 64, 1).items()}
    cases = {"wide": (64, 128, 64, 96, 2), "fine": (128, 64, 32, 64, 3)}
    for name, case in cases.items():
        tensors |= {f"{name}.{key}": value for key, value in searched(*case).items()}
    write_tensors(folder / "golden.safetensors", tensors)
    write_json(folder / "golden.json", {
        "packed": {"shape": [96, 192], "groupSize": 64},
        "searches": {name: {"shape": [out, inputs], "groupSize": g} for name, (out, inputs, g, _, _) in cases.items()},
        "versions": versions("torch", "transformers", "autoawq"),
    })  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
