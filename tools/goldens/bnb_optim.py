"""100-step traces of bitsandbytes' 8-bit optimizers on gradients that anybody can make again from integers.

    python bnb_optim.py --device cpu|cuda [--out data/bnb-optim]        writes <device>.safetensors and <device>.json

Its CUDA kernels are the reference: its CPU backend decays before the step, keeps no sign in the codes, and adds the L2 term
of RMSProp to the direction too: of that one the runs with float32 state are kept, which show the order alone. Needs torch,
numpy, safetensors and bitsandbytes alone; no network.
"""

import argparse
import hashlib
import os
from pathlib import Path

os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # bitsandbytes compiles parts of its CPU path: slower here, and no other numbers

import bitsandbytes as bnb  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from common import DATA, versions, write_json, write_tensors  # noqa: E402

STEPS = 100
KEPT = (1, STEPS)
# 18 blocks of 256 and one of 47 elements; more than min_8bit_size
SHAPE = (35, 133)
# fewer than min_8bit_size: states stay float32
SMALL = (33,)
BLOCK = 256

OPTIMIZERS = {
    "adam8bit": bnb.optim.Adam8bit,
    "adamw8bit": bnb.optim.AdamW8bit,
    "lion8bit": bnb.optim.Lion8bit,
    "sgd8bit": bnb.optim.SGD8bit,
    "rmsprop8bit": bnb.optim.RMSprop8bit,
}
# Settings in bitsandbytes' words; what is left out is its default.
RUNS = {
    "adam8bit": dict(lr=1e-2, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
    "adamw8bit": dict(lr=1e-2, weight_decay=0.1),
    "lion8bit": dict(lr=1e-3, weight_decay=0.1),
    "sgd8bit": dict(lr=1e-2, momentum=0.9, weight_decay=0.01),
    "rmsprop8bit": dict(lr=1e-3, alpha=0.9),
    "rmsprop8bit-decay": dict(lr=1e-3, alpha=0.99, eps=1e-3, weight_decay=0.1),
}


def integers(seed: int, n: int) -> np.ndarray:
    """n sums of four hashed bytes, from -510 to 510 with deviation 148: exact in every language."""
    with np.errstate(over="ignore"):
        h = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed) * np.uint32(0x85EBCA77)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x846CA68B)
        h ^= h >> np.uint32(16)
    return sum((h >> np.uint32(8 * i)).astype(np.int64) & 255 for i in range(4)) - 510


def initial(shape: tuple[int, ...]) -> np.ndarray:
    return (integers(0, int(np.prod(shape))) * 2.0**-11).astype(np.float32).reshape(shape)


def gradient(step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Deviation 0.009, 0.036, 0.14 or 0.58, block by block. Block 5 gets none before step 50."""
    n = int(np.prod(shape))
    block = np.arange(n) // BLOCK
    scale = 2.0 ** (-14 + 2 * (block % 4))
    if step < 50:
        scale[block == 5] = 0
    # + 0 makes 0 of the -0 that a negative number times no scale is
    return (integers(step, n) * scale + 0.0).astype(np.float32).reshape(shape)


def walk(make, settings: dict, shape: tuple[int, ...], device: str, steps: int, kept: tuple[int, ...], spoil=None) -> dict:
    """Parameter, states and absmax after the steps that are kept."""
    p = torch.nn.Parameter(torch.from_numpy(initial(shape)).to(device))
    optimizer = make([p], **settings)
    out = {}
    for step in range(1, steps + 1):
        g = torch.from_numpy(gradient(step, shape)).to(device)
        if spoil:
            spoil(step, g)
        p.grad = g
        optimizer.step()
        if step in kept:
            state = optimizer.state[p]
            out[f"param.{step}"] = p.detach().cpu()
            for key in ("state1", "absmax1", "state2", "absmax2"):
                if state.get(key) is not None:
                    out[f"{key}.{step}"] = state[key].cpu()
    return out


def spoil(step: int, g: torch.Tensor) -> None:
    """Three gradients that are not finite."""
    if step == 3:
        g.view(-1)[7], g.view(-1)[100], g.view(-1)[270] = float("nan"), float("inf"), float("-inf")


def digest() -> str:
    """What a test in another language compares its own start and gradients with."""
    sha = hashlib.sha256(initial(SHAPE).tobytes())
    for step in range(1, STEPS + 1):
        sha.update(gradient(step, SHAPE).tobytes())
    return sha.hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--out", type=Path, default=DATA / "bnb-optim")
    arguments = parser.parse_args()
    device, folder = arguments.device, arguments.out
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)

    tensors = {}
    for name, settings in RUNS.items():
        make = OPTIMIZERS[name.split("-")[0]]
        if device == "cuda":
            for key, x in walk(make, settings, SHAPE, device, STEPS, KEPT).items():
                tensors[f"{name}.{key}"] = x
        for key, x in walk(make, settings, SMALL, device, STEPS, (STEPS,)).items():
            tensors[f"{name}.small.{key}"] = x
    if device == "cuda":
        # its CPU backend lets them through
        settings = dict(lr=1e-2, weight_decay=0.1, min_8bit_size=0)
        for key, x in walk(bnb.optim.AdamW8bit, settings, (300,), device, 6, (6,), spoil).items():
            tensors[f"adamw8bit.nonfinite.{key}"] = x
    write_tensors(folder / f"{device}.safetensors", tensors)
    made_by = versions("bitsandbytes", "torch")
    if device == "cuda":
        made_by["gpu"] = torch.cuda.get_device_name()
    golden = {"versions": made_by, "digest": digest(), "shape": SHAPE, "small": SMALL, "runs": RUNS}
    write_json(folder / f"{device}.json", golden)
