"""A small real GGUF file, and what the gguf package reads from it.

    pip install numpy==2.4.6 gguf==0.19.0
    python tools/goldens/gguf_quants.py

Writes to data/gguf-quants/:
  tiny.gguf      metadata of every value type; tensors of F32, F16, BF16 and the block formats, quantised from normal numbers
                 (those of 32 values), and of random bits under scales of every kind (negative, subnormal, zero, the largest)
  values.f32     all tensors through gguf.quants.dequantize, as float32, one after another
  expected.json  metadata, and per tensor type, shape and place in values.f32; block sizes of all types
"""

import json
import pathlib
from importlib.metadata import version

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

here = pathlib.Path(__file__).parent / "data" / "gguf-quants"
here.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(7)

scalars = {
    "test.uint8": (200, GGUFValueType.UINT8),
    "test.int8": (-100, GGUFValueType.INT8),
    "test.uint16": (60_000, GGUFValueType.UINT16),
    "test.int16": (-30_000, GGUFValueType.INT16),
    "test.uint32": (4_000_000_000, GGUFValueType.UINT32),
    "test.int32": (-2_000_000_000, GGUFValueType.INT32),
    "test.float32": (0.5, GGUFValueType.FLOAT32),
    "test.bool": (True, GGUFValueType.BOOL),
    "test.string": ("grüße 你好", GGUFValueType.STRING),
    "test.uint64": (2**53 - 1, GGUFValueType.UINT64),
    "test.uint64.large": (2**64 - 1, GGUFValueType.UINT64),
    "test.int64": (-(2**53) + 1, GGUFValueType.INT64),
    "test.int64.large": (-(2**63), GGUFValueType.INT64),
    "test.float64": (0.1, GGUFValueType.FLOAT64),
}
arrays = {
    "test.array.uint8": ([1, 255], GGUFValueType.UINT8),
    "test.array.int8": ([-1, 127], GGUFValueType.INT8),
    "test.array.uint16": ([1, 65_535], GGUFValueType.UINT16),
    "test.array.int16": ([-1, 32_767], GGUFValueType.INT16),
    "test.array.uint32": ([1, 2**32 - 1], GGUFValueType.UINT32),
    "test.array.int32": ([-1, 2**31 - 1], GGUFValueType.INT32),
    "test.array.float32": ([0.5, -0.25], GGUFValueType.FLOAT32),
    "test.array.bool": ([True, False], GGUFValueType.BOOL),
    "test.array.string": (["<s>", "", "▁hello", "🙂"], GGUFValueType.STRING),
    "test.array.uint64": ([1, 2**64 - 1], GGUFValueType.UINT64),
    "test.array.int64": ([-1, 2**63 - 1], GGUFValueType.INT64),
    "test.array.float64": ([0.1, -0.2], GGUFValueType.FLOAT64),
}

writer = gguf.GGUFWriter(here / "tiny.gguf", arch="llama")
for key, (value, kind) in scalars.items():
    writer.add_key_value(key, value, kind)
for key, (value, kind) in arrays.items():
    writer.add_key_value(key, value, GGUFValueType.ARRAY, sub_type=kind)

values: list[np.ndarray] = []
tensors: dict[str, dict] = {}
start = 0


def add(name: str, raw: np.ndarray, kind: GGMLQuantizationType) -> None:
    global start
    wide = gguf.quants.dequantize(raw, kind).astype(np.float32)
    writer.add_tensor(name, raw, raw_dtype=kind)
    values.append(wide.ravel())
    tensors[name] = {"dtype": kind.name, "shape": list(wide.shape), "start": start}
    start += wide.size


def random_blocks(rows: int, blocks: int, kind: GGMLQuantizationType, scales: int, at: int = 0) -> np.ndarray:
    size = GGML_QUANT_SIZES[kind][1]
    raw = random.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    special = np.array([1.0, -1.0, 0.0, -0.0, 65504.0, -65504.0, 6e-8, -6e-8, 6e-5, 0.1], dtype=np.float16)
    picks = special[random.integers(0, len(special), (rows, blocks, scales))]
    raw[:, :, at : at + 2 * scales] = picks.view(np.uint8).reshape(rows, blocks, 2 * scales)
    return raw.reshape(rows, blocks * size)


T = GGMLQuantizationType
normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
add("f32.weight", normal(3, 5), T.F32)
add("f16.weight", normal(4, 6).astype(np.float16), T.F16)
add("bf16.weight", gguf.quants.quantize(normal(2, 3, 8), T.BF16), T.BF16)
add("norm.weight", normal(7), T.F32)
for kind, scales in ((T.Q8_0, 1), (T.Q4_0, 1), (T.Q4_1, 2), (T.Q5_0, 1), (T.Q5_1, 2)):
    lower = kind.name.lower()
    add(f"{lower}.weight", gguf.quants.quantize(normal(6, 96) * 0.02, kind), kind)
    add(f"{lower}.3d.weight", gguf.quants.quantize(normal(2, 3, 32), kind), kind)
    add(f"{lower}.bits.weight", random_blocks(5, 4, kind, scales), kind)
for kind, scales, at in ((T.Q2_K, 2, 80), (T.Q3_K, 1, 108), (T.Q4_K, 2, 0), (T.Q5_K, 2, 0), (T.Q6_K, 1, 208)):
    add(f"{kind.name.lower()}.bits.weight", random_blocks(3, 2, kind, scales, at), kind)

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

(here / "values.f32").write_bytes(np.concatenate(values).astype("<f4").tobytes())
plain = lambda v: str(v) if isinstance(v, int) and not isinstance(v, bool) and abs(v) >= 2**53 else v
expected = {
    "made_by": {"gguf": version("gguf"), "numpy": np.__version__},
    "metadata": {key: value for key, (value, _) in scalars.items()} | {key: value for key, (value, _) in arrays.items()},
    "tensors": tensors,
    "block_sizes": {kind.name: [int(kind), *GGML_QUANT_SIZES[kind]] for kind in T},
}
expected["metadata"] = {
    key: [plain(v) for v in value] if isinstance(value, list) else plain(value) for key, value in expected["metadata"].items()
}
(here / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
