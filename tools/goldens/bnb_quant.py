"""Codes and statistics of bitsandbytes' quantisers on stored inputs, and digests of what they dequantise to.

    python bnb_quant.py --device cuda [--out data/bnb] [--smollm2 MODEL.gguf] [--compare OTHER]

Writes OUT/inputs.safetensors, OUT/quant.safetensors and OUT/golden.json, layout in README.md; with --smollm2 also
OUT/smollm2.json, digests over whole tensors of a real model. The committed files are those of a CUDA device: there
bitsandbytes multiplies by an approximate reciprocal, flushes subnormal numbers, and gives a block of zeros the code 0.

    python bnb_quant.py --compare OTHER [--out data/bnb]      prints where two folders differ; makes nothing
    python bnb_quant.py --extract MODEL.gguf OUT.safetensors  the tensors that --smollm2 reads, which also takes this file

Needs torch, safetensors and bitsandbytes alone (gguf to read a GGUF file); no network.
"""

import argparse
import hashlib
import json
import math
import os
from pathlib import Path

os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # bitsandbytes compiles parts of its CPU path: slower here, and no other numbers

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from common import DATA, versions, write_json, write_tensors  # noqa: E402

TYPES = ("nf4", "fp4")
BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
ODD_COUNTS = (1, 2, 7, 33, 127, 4097)  # of `normal`, which itself has 8,229 elements
BLOCKS8 = (64, 256, 4096)  # what the CUDA kernel of 8-bit codes has, less the ones between
MAPS = {"dynamic": True, "udynamic": False}  # name: signed

# Values where the code changes, as in bitsandbytes' CUDA kernels; fp4 also with the other sign.
BOUNDS = {
    "nf4": [-0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
            -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
            0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011],
    "fp4": [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333],
}  # fmt: skip

# Hugging Face's names of the tensors that --smollm2 digests, and where GGUF keeps them.
SMOLLM2 = {
    "model.layers.0.self_attn.q_proj.weight": "blk.0.attn_q.weight",
    "model.layers.0.mlp.down_proj.weight": "blk.0.ffn_down.weight",
    "model.layers.17.mlp.gate_proj.weight": "blk.17.ffn_gate.weight",
    "model.layers.29.self_attn.v_proj.weight": "blk.29.attn_v.weight",
}


# ---------------------------------------------------------------------------------------------------------- inputs


def neighbours(values: torch.Tensor, steps: range) -> torch.Tensor:
    """Each value and the floats so many steps away from it (away from zero for positive steps)."""
    return torch.cat([(values.view(torch.int32) + step).view(torch.float32) for step in steps])


def all_bounds() -> torch.Tensor:
    fp4 = torch.tensor(BOUNDS["fp4"], dtype=torch.float32)
    return torch.cat([torch.tensor(BOUNDS["nf4"], dtype=torch.float32), fp4, -fp4])


def on_bounds(count: int, scale: float) -> torch.Tensor:
    """Values on the bounds and one step beside them, under a power of two as the largest magnitude of every 32."""
    ties = neighbours(all_bounds(), range(-1, 2))
    x = ties.repeat(math.ceil(count / len(ties)))[:count].clone()
    x[::64] = 1
    x[32::64] = -1
    return x * scale


def near_bounds(count: int, generator: torch.Generator) -> torch.Tensor:
    """The same under any largest magnitude of every 32, where the rounding of its reciprocal decides."""
    ties = all_bounds()
    x = ties.repeat(math.ceil(count / len(ties)))[:count].view(-1, 32)
    top = 1 + torch.rand(len(x), 1, generator=generator)
    x = (x * top).view(torch.int32) + torch.randint(-2, 3, x.shape, generator=generator, dtype=torch.int32)
    x = x.view(torch.float32).clone()
    x[:, 0] = top[:, 0]
    return x.flatten()


def with_zeros(generator: torch.Generator) -> torch.Tensor:
    """8,229 values: 4,096 zeros of both signs; runs of 32 to 1,024 zeros among normal numbers; a ragged end of zeros."""
    x = torch.randn(8229, generator=generator)
    x[:4096] = 0
    x[1:4096:3] = -0.0
    start = 4096
    for run in (32, 64, 128, 256, 512, 1024):
        x[start : start + run] = 0
        start += 2 * run if run < 1024 else run
    x[4096 + 3584 + 17 : 4096 + 3584 + 96] = 0
    x[8192:] = 0
    return x


def largest(dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Values up to the dtype's largest magnitude, which stands now and then, with either sign; 4,165 of them."""
    top = torch.finfo(dtype).max
    x = (torch.rand(4165, generator=generator) * 2 - 1) * top
    x[5::71] = top
    x[40::97] = -top
    x[1024:2048] *= 2.0**-3  # from here some blocks have another largest magnitude
    x[2048:3072] = torch.randn(1024, generator=generator)  # an outlier among small numbers
    x[2048] = -top
    return x.to(dtype)


def tiny(generator: torch.Generator) -> torch.Tensor:
    """Magnitudes from the smallest subnormal of float32 to a few times its smallest normal number; 601 of them."""
    exponents = torch.linspace(-149, -122, 601).floor()
    return torch.ldexp(1 + torch.rand(601, generator=generator), exponents) * (1 - 2 * (torch.arange(601) % 2))


def read_inputs() -> dict[str, torch.Tensor]:
    """The committed ones where they are: torch's random numbers differ in the last bits between processors."""
    path = DATA / "bnb" / "inputs.safetensors"
    return load_file(path) if path.exists() else make_inputs()


def make_inputs() -> dict[str, torch.Tensor]:
    """`<kind>.<dtype>`: made in float32 and rounded, except `largest`, which differs in each."""
    g = torch.Generator().manual_seed(20)
    kinds = {
        "normal": torch.randn(8229, generator=g),
        "uniform": torch.rand(4133, generator=g) * 2 - 1,
        "zeros": with_zeros(g),
        "allzeros": torch.zeros(71),
        "bounds": torch.cat([on_bounds(4096, 1.0), on_bounds(1024, 2.0**10), on_bounds(997, 2.0**-12)]),
        "near": near_bounds(4096, g),
        "tiny": tiny(g),
    }
    inputs = {f"{kind}.{d}": x.to(t) for kind, x in kinds.items() for d, t in DTYPES.items()}
    inputs |= {f"largest.{d}": largest(t, g) for d, t in DTYPES.items()}
    inputs |= {f"int8.{d}": x for d, x in int8_inputs(g).items()} | {f"eight.{k}": x for k, x in eight_bit_inputs(g).items()}
    return inputs


def int8_inputs(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """[23, 99]: normal rows, a row of zeros, one with float16's largest magnitude, one whose quotients are halves, one outlier."""
    x = torch.randn(23, 99, generator=generator) * torch.logspace(-3, 3, 23)[:, None]
    x[3] = 0
    x[5, 7], x[5, 8] = -65504.0, 65504.0
    x[7] = torch.arange(99) - 49.5
    x[7, 0] = 127
    x[9] *= 1e-3
    x[9, 50] = 30000.0
    return {d: x.to(t) for d, t in DTYPES.items()}


def eight_bit_inputs(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """float32, each in blocks of both maps; `values` stand on the map's codes and half way between them."""
    from bitsandbytes.functional import create_dynamic_map

    normal = torch.randn(8229, generator=generator)
    out = {"normal": normal, "squares": normal[:2055] ** 2, "zeros": normal[:4133].clone(), "one": normal[:1].clone()}
    out["zeros"][:300] = 0
    out["zeros"][512:768] = 0
    out["zeros"][4096:] = 0
    out["largest"] = (torch.rand(519, generator=generator) * 2 - 1) * torch.finfo(torch.float32).max
    out["largest"][3] = torch.finfo(torch.float32).max
    out["tiny"] = tiny(generator)
    for name, signed in MAPS.items():
        codes = create_dynamic_map(signed=signed)
        between = (codes[1:] + codes[:-1]) * 0.5
        x = torch.cat([codes, neighbours(between, range(-1, 2))])
        x[::64] = 1  # every block has the map's own scale
        out[f"values.{name}"] = x
    return out


# ------------------------------------------------------------------------------------------------------ quantisers


def digest(t: torch.Tensor) -> str:
    return hashlib.sha256(t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def four_bit(x: torch.Tensor, kind: str, block: int) -> dict:
    """Codes, statistics as they are and nested, and the values that each gives back."""
    import bitsandbytes.functional as F

    codes, state = F.quantize_4bit(x, blocksize=block, quant_type=kind)
    nested_codes, nested = F.quantize_4bit(x, blocksize=block, quant_type=kind, compress_statistics=True)
    assert torch.equal(codes, nested_codes)
    back = {
        d: torch.ops.bitsandbytes.dequantize_4bit.default(codes, state.absmax, block, kind, list(x.shape), t) for d, t in DTYPES.items()
    }
    return {
        "codes": codes.flatten(), "absmax": state.absmax, "nested.codes": nested.absmax, "nested.absmax": nested.state2.absmax,
        "nested.offset": nested.offset, "back": back,
        "nested.back": F.dequantize_blockwise(nested.absmax, nested.state2) + nested.offset,
        "nested.values": F.dequantize_4bit(nested_codes, nested),
    }  # fmt: skip


def four_bit_goldens(inputs: dict[str, torch.Tensor], device: str) -> tuple[dict, dict]:
    tensors, values = {}, {}
    names = [n for n in inputs if not n.startswith(("int8.", "eight."))]
    cases = {n: inputs[n] for n in names}
    for count in ODD_COUNTS:
        cases |= {f"normal{count}.{d}": inputs[f"normal.{d}"][:count] for d in DTYPES}
    for name, x in cases.items():
        for block in BLOCKS:
            found = {kind: four_bit(x.to(device), kind, block) for kind in TYPES}
            # Statistics do not depend on the type: they are kept once.
            for key in ("absmax", "nested.codes", "nested.absmax", "nested.offset", "nested.back"):
                one, other = (found[kind][key].cpu() for kind in TYPES)
                assert digest(one) == digest(other), (name, block, key)
                if key == "nested.back":
                    values[f"{name}.{block}.{key}"] = digest(one)
                else:
                    tensors[f"{name}.{block}.{key}"] = one
            for kind in TYPES:
                tensors[f"{name}.{block}.{kind}"] = found[kind]["codes"].cpu()
                for d, back in found[kind]["back"].items():
                    values[f"{name}.{block}.{kind}.{d}"] = digest(back)
                    if name.startswith("normal127.") and block == 32:
                        tensors[f"{name}.{block}.{kind}.back.{d}"] = back.cpu()
                values[f"{name}.{block}.{kind}.nested"] = digest(found[kind]["nested.values"])
    return tensors, values


def eight_bit_goldens(inputs: dict[str, torch.Tensor], device: str) -> tuple[dict, dict]:
    import bitsandbytes.functional as F

    tensors, values = {}, {}
    for map_name, signed in MAPS.items():
        codes_of = F.create_dynamic_map(signed=signed).to(device)
        for name, x in inputs.items():
            if not name.startswith("eight.") or (".values." in name and not name.endswith(f".{map_name}")):
                continue
            for block in BLOCKS8:
                codes, state = F.quantize_blockwise(x.to(device), code=codes_of, blocksize=block)
                key = f"{name}.{map_name}.{block}"
                tensors |= {f"{key}.codes": codes.cpu(), f"{key}.absmax": state.absmax.cpu()}
                values[key] = digest(F.dequantize_blockwise(codes, state))
    return tensors, values


def int8_goldens(inputs: dict[str, torch.Tensor], device: str) -> tuple[dict, dict]:
    """As bitsandbytes' Int8Params does it: any weight is rounded to float16 first."""
    import bitsandbytes.functional as F

    tensors, values = {}, {}
    for d in DTYPES:
        codes, absmax, _ = F.int8_vectorwise_quant(inputs[f"int8.{d}"].to(device, torch.float16))
        tensors |= {f"int8.{d}.codes": codes.cpu(), f"int8.{d}.absmax": absmax.cpu()}
        values[f"int8.{d}"] = digest(F.int8_vectorwise_dequant(codes, absmax))
    return tensors, values


def tables(device: str) -> dict[str, torch.Tensor]:
    """Maps as a checkpoint stores them, and `values.<type>`: what the kernel gives for each code under a scale of 1."""
    import bitsandbytes.functional as F

    out = {f"map.{name}": F.create_dynamic_map(signed=signed) for name, signed in MAPS.items()}
    for kind in TYPES:
        out[f"map.{kind}"] = F.get_4bit_type(kind, device=device).cpu()
        packed = torch.tensor([(2 * i) << 4 | (2 * i + 1) for i in range(8)] * 2, dtype=torch.uint8, device=device).view(-1, 1)
        one = torch.ones(1, device=device)
        out[f"values.{kind}"] = torch.ops.bitsandbytes.dequantize_4bit.default(packed, one, 32, kind, [32], torch.float32)[:16].cpu()
    return out


# --------------------------------------------------------------------------------------------------------- SmolLM2


def halves_from_pairs(weight, heads: int):
    """[heads * d, in] with the rows of a head in pairs, as GGUF keeps q and k, back to Hugging Face's two halves."""
    out, width = weight.shape
    return weight.reshape(heads, out // heads // 2, 2, width).swapaxes(1, 2).reshape(out, width)


def smollm2_tensors(path: Path) -> dict[str, torch.Tensor]:
    """float32, from the GGUF file or from what --extract made of it."""
    if path.suffix == ".safetensors":
        return load_file(path)
    import gguf

    reader = gguf.GGUFReader(path)
    heads = reader.fields["llama.attention.head_count"].contents()
    by_name = {t.name: t for t in reader.tensors}
    out = {}
    for name, stored in SMOLLM2.items():
        found = gguf.quants.dequantize(by_name[stored].data, by_name[stored].tensor_type)
        weight = torch.from_numpy(found.astype("float32"))
        out[name] = halves_from_pairs(weight, heads) if ".q_proj." in name else weight
    return out


def smollm2_goldens(path: Path, device: str) -> dict:
    """Per tensor, dtype and block size: digests of codes and statistics, and the offset as the double of equal value."""
    found = {}
    for name, weight in smollm2_tensors(path).items():
        per = found[name] = {"shape": list(weight.shape), "f32": digest(weight)}
        for d, t in DTYPES.items():
            for block in BLOCKS:
                entry = {}
                for kind in TYPES:
                    made = four_bit(weight.to(t).to(device), kind, block)
                    entry[kind] = digest(made["codes"])
                    entry[f"{kind}.back"] = digest(made["nested.values"])
                entry |= {key: digest(made[key]) for key in ("absmax", "nested.codes", "nested.absmax")}
                per[f"{d}.{block}"] = {**entry, "offset": made["nested.offset"].item()}
    return found


# ------------------------------------------------------------------------------------------------------- comparing


def compare(ours: Path, other: Path) -> None:
    """One line for each tensor or digest that differs."""
    for file in ("inputs.safetensors", "quant.safetensors"):
        a, b = load_file(ours / file), load_file(other / file)
        for name in sorted(a.keys() ^ b.keys()):
            print(f"{file} {name}: only in {ours if name in a else other}")
        different = 0
        for name in sorted(a.keys() & b.keys()):
            x, y = (t[name].flatten().contiguous() for t in (a, b))
            if digest(x) == digest(y):
                continue
            different += 1
            width = x.element_size()
            at = (x.view(torch.uint8).view(-1, width) != y.view(torch.uint8).view(-1, width)).any(1).nonzero().flatten()
            shown = ", ".join(f"[{i}] {x[i].item()} | {y[i].item()}" for i in at[:3].tolist())
            print(f"{file} {name}: {len(at)} of {x.numel()} differ: {shown}")
        print(f"{file}: {different} of {len(a)} tensors differ")
    for file in ("golden.json", "smollm2.json"):
        if not (ours / file).exists() or not (other / file).exists():
            continue
        a, b = (flat(json.loads((folder / file).read_text())) for folder in (ours, other))
        keys = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
        for key in keys:
            print(f"{file} {key}: {a.get(key)} | {b.get(key)}")
        print(f"{file}: {len(keys)} of {len(a)} entries differ")


def flat(value: dict, prefix: str = "") -> dict:
    out = {}
    for key, item in value.items():
        out |= flat(item, f"{prefix}{key} ") if isinstance(item, dict) else {prefix + key: item}
    return out


def made_on(device: str) -> dict:
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return {"versions": versions("torch", "bitsandbytes", "safetensors"), "device": name}


def generate(device: str, out: Path) -> None:
    inputs = read_inputs()
    four, four_values = four_bit_goldens(inputs, device)
    eight, eight_values = eight_bit_goldens(inputs, device)
    int8, int8_values = int8_goldens(inputs, device)
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(out / "inputs.safetensors", inputs)
    write_tensors(out / "quant.safetensors", {**tables(device), **four, **eight, **int8})
    write_json(out / "golden.json", {
        **made_on(device), "types": list(TYPES), "blocks": list(BLOCKS), "oddCounts": list(ODD_COUNTS), "blocks8": list(BLOCKS8),
        "fourBit": four_values, "eightBit": eight_values, "int8": int8_values,
    })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=DATA / "bnb")
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--extract", type=Path, nargs=2)
    options = parser.parse_args()
    if options.extract:
        write_tensors(options.extract[1], smollm2_tensors(options.extract[0]))
    if options.device:
        torch.set_num_threads(1)
        generate(options.device, options.out)
        if options.smollm2:
            write_json(options.out / "smollm2.json", {**made_on(options.device), "tensors": smollm2_goldens(options.smollm2, options.device)})
    if options.compare:
        compare(options.out, options.compare)


if __name__ == "__main__":
    main()
