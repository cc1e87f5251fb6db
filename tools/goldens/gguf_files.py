"""GGUF files written by the gguf package, and how llama.cpp quantises: bytes and types.

    pip install numpy==2.4.6 gguf==0.19.0 llama-cpp-python==0.3.36   (builds llama.cpp 0.5.0; needs a C++ compiler)
    python tools/goldens/gguf_files.py

Writes to data/gguf-files/:
  written.gguf   metadata and tensors through gguf.GGUFWriter, which a writer must equal byte for byte
  quantised.json for two small models of known weights (see `values`) and every file type: the tensors' types in order and the
                 SHA-256 of the file's tensor data, by llama_model_quantize on the file in F32
  types.json     tensor types that llama_model_quantize chooses (its dry run) for shapes of many depths and widths
"""

import ctypes
import hashlib
import json
import pathlib
import re
import tempfile
from importlib.metadata import version

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np

here = pathlib.Path(__file__).parent / "data" / "gguf-files"
here.mkdir(parents=True, exist_ok=True)
T = gguf.GGMLQuantizationType

file_types = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9,
    "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "BF16": 32,
}  # fmt: skip

lines: list[str] = []
collect = llama.llama_log_callback(lambda level, text, _: lines.append(text.decode(errors="replace")))
llama.llama_log_set(collect, ctypes.c_void_p(0))


def write_plain() -> None:
    """Values of every type that the writer knows, and tensors of several."""
    writer = gguf.GGUFWriter(here / "written.gguf", arch="llama")
    writer.add_uint32("test.u32", 4_000_000_000)
    writer.add_int32("test.i32", -7)
    writer.add_float32("test.f32", 1e-5)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "grüße 你好 🙂")
    writer.add_key_value("test.u32s", [0, 2**32 - 1], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.UINT32)
    writer.add_array("test.i32s", [-1, 5, 2**31 - 1])
    writer.add_array("test.f32s", [0.5, -1e30])
    writer.add_array("test.strings", ["<s>", "", "▁a", "🙂"])
    count = np.arange(2 * 3 * 32, dtype=np.float32) - 50
    writer.add_tensor("a.weight", count.reshape(6, 32))
    writer.add_tensor("b.weight", count[:7])
    writer.add_tensor("c.weight", gguf.quants.quantize(count.reshape(2, 3, 32), T.Q8_0), raw_dtype=T.Q8_0)
    writer.add_tensor("d.weight", count[:5].astype(np.float16))
    writer.add_tensor("e.weight", gguf.quants.quantize(count.reshape(6, 32), T.BF16), raw_dtype=T.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def values(count: int, seed: int) -> np.ndarray:
    """Numbers in [-1/8, 1/8) that any language makes alike: an integer hash of the index, cut to 24 bits."""
    with np.errstate(over="ignore"):
        x = (np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x10001)) * np.uint32(0x9E3779B1)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x85EBCA77)
        x ^= x >> np.uint32(13)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(2**24) - np.float32(0.5)) / np.float32(4)


def in_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    out, width = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, width).swapaxes(1, 2).reshape(out, width)


def write_model(path: pathlib.Path, c: dict, weights: bool) -> None:
    """A llama in F32. Weights are numbered in Hugging Face's order: embedding, layer by layer, norm, head."""
    d = c["hidden"] // c["heads"]
    shapes = {"token_embd.weight": (c["vocab"], c["hidden"])}
    for i in range(c["layers"]):
        at = f"blk.{i}."
        shapes[at + "attn_norm.weight"] = (c["hidden"],)
        shapes[at + "ffn_norm.weight"] = (c["hidden"],)
        shapes[at + "attn_q.weight"] = (c["hidden"], c["hidden"])
        shapes[at + "attn_k.weight"] = (c["kv"] * d, c["hidden"])
        shapes[at + "attn_v.weight"] = (c["kv"] * d, c["hidden"])
        shapes[at + "attn_output.weight"] = (c["hidden"], c["hidden"])
        shapes[at + "ffn_gate.weight"] = (c["ff"], c["hidden"])
        shapes[at + "ffn_up.weight"] = (c["ff"], c["hidden"])
        shapes[at + "ffn_down.weight"] = (c["hidden"], c["ff"])
    shapes["output_norm.weight"] = (c["hidden"],)
    if not c["tied"]:
        shapes["output.weight"] = (c["vocab"], c["hidden"])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(c["hidden"])
    writer.add_block_count(c["layers"])
    writer.add_feed_forward_length(c["ff"])
    writer.add_head_count(c["heads"])
    writer.add_head_count_kv(c["kv"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(c["vocab"])
    writer.add_tokenizer_model("none")
    for seed, (name, shape) in enumerate(shapes.items()):
        value = values(int(np.prod(shape)), seed).reshape(shape) if weights else np.zeros(shape, dtype=np.float32)
        if "attn_q." in name:
            value = in_pairs(value, c["heads"])
        if "attn_k." in name:
            value = in_pairs(value, c["kv"])
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise(source: pathlib.Path, target: pathlib.Path, kind: str, dry: bool) -> None:
    params = llama.llama_model_quantize_default_params()
    params.ftype = file_types[kind]
    params.nthread = 2
    params.dry_run = dry
    lines.clear()
    assert llama.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0, "".join(lines)


def quantised(folder: pathlib.Path) -> list:
    cases = []
    for c in (
        dict(hidden=256, ff=512, layers=3, heads=4, kv=2, vocab=40, tied=False),
        dict(hidden=96, ff=288, layers=2, heads=2, kv=1, vocab=40, tied=True),
    ):
        write_model(folder / "F32.gguf", c, weights=True)
        files = {}
        for kind in file_types:
            target = folder / f"{kind}.out.gguf"
            quantise(folder / "F32.gguf", target, kind, dry=False)
            reader = gguf.GGUFReader(target)
            data = target.read_bytes()[reader.data_offset :]
            files[kind] = {
                "types": [f"{t.name} {t.tensor_type.name}" for t in reader.tensors],
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        cases.append({"model": c, "files": files})
    return cases


def chosen(folder: pathlib.Path) -> list:
    cases = []
    common = dict(hidden=256, ff=256, heads=4, kv=2, vocab=32)
    models = [dict(common, layers=layers, tied=layers % 2 == 0) for layers in (1, 2, 3, 7, 8, 9, 12, 16, 22, 30, 32, 33)]
    models += [dict(common, layers=80, tied=False), dict(common, layers=80, tied=False, kv=4)]
    models += [dict(common, layers=8, tied=tied, hidden=96, ff=288) for tied in (False, True)]
    models += [dict(common, layers=8, tied=tied, hidden=40, ff=256) for tied in (False, True)]
    models += [dict(common, layers=8, tied=False, ff=704), dict(common, layers=8, tied=True, ff=40)]
    for c in models:
        write_model(folder / "zeros.gguf", c, weights=False)
        files = {}
        for kind in file_types:
            quantise(folder / "zeros.gguf", folder / "none.gguf", kind, dry=True)
            text = "".join(lines)
            # of tensors that stay as they are, the dry run says no type
            found = re.findall(r"\] +(\S+) +- \[[^\]]*\], type = +f32, size = .*? MiB(?: -> .*? MiB \((\w+)\))?\n", text)
            types = {name: (to or "f32").upper() for name, to in found}
            matrices = {name: kind for name, kind in types.items() if "norm" not in name}
            assert len(types) == c["layers"] * 9 + 2 + (not c["tied"]), len(types)
            most = max(sorted(set(matrices.values())), key=list(matrices.values()).count)
            others: dict[str, list[str]] = {}
            for name, to in matrices.items():
                if to != most:
                    others.setdefault(to, []).append(re.sub(r"^blk\.|\.weight$", "", name))
            files[kind] = {"most": most, "others": {to: " ".join(names) for to, names in others.items()}}
        cases.append({"model": c, "files": files})
    return cases


if __name__ == "__main__":
    write_plain()
    made_by = {name: version(name) for name in ("gguf", "numpy", "llama-cpp-python")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, cases in (("quantised", quantised(folder)), ("types", chosen(folder))):
            text = json.dumps({"made_by": made_by, "cases": cases}, indent=1) + "\n"
            (here / f"{name}.json").write_text(text)
