"""What ggml's own reference quantisers make of rows of every kind, without an importance matrix.

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=OFF -DGGML_AVX2=OFF -DGGML_FMA=OFF -DGGML_F16C=OFF -DGGML_BMI2=OFF" \\
        pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36
    python tools/goldens/gguf_blocks.py .../llama_cpp/lib/libggml-base.so

Without FMA every operation in float32 rounds once, as C says. Writes to data/gguf-blocks/:
  inputs.f32     rows of 256 values: normal, heavy-tailed, zero, constant, tiny, subnormal, large, with outliers, one-sided, tied
  <TYPE>.bin     the blocks of all rows, by ggml_quantize_chunk
  golden.json    versions, the kinds of rows in order
"""

import argparse
import ctypes

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from common import fresh_folder, versions, write_json

parser = argparse.ArgumentParser()
parser.add_argument("ggml", help="libggml-base.so of llama-cpp-python 0.3.36")
parser.add_argument("--llama-cpp-python", default="0.3.36", help="the version the library comes from, for the record")
options = parser.parse_args()

ggml = ctypes.CDLL(options.ggml)
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    *[ctypes.c_int64] * 3,
    ctypes.c_void_p,
]


def quantize(rows: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    elements, size = GGML_QUANT_SIZES[kind]
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    out = np.zeros(rows.size // elements * size, dtype=np.uint8)
    written = ggml.ggml_quantize_chunk(int(kind), rows.ctypes.data, out.ctypes.data, 0, *rows.shape, None)
    assert written == out.size
    return out


random = np.random.default_rng(11)
normal = lambda n=1: random.standard_normal((n, 256))
spread = np.repeat(np.exp2(np.arange(16) - 12.0), 16)
outliers = normal(4) * 0.02
for row, at in enumerate((0, 100, 255, 31)):
    outliers[row, at] = (-1) ** row * (2.0 + row)
one_part = np.zeros((3, 256))
one_part[0, 32:64] = random.standard_normal(32)
one_part[1, 250] = -1e-3
one_part[2, :128] = random.standard_normal(128) * 1e-7
one_part[2, 128:] = random.standard_normal(128)
ties = np.stack([np.tile([1.0, -1.0], 128), np.tile([-1.0, 1.0], 128), (np.arange(256) % 16 - 8) / 8])
rows = {
    "normal": normal(12) * 0.02,
    "heavy-tailed": random.standard_t(2, (8, 256)) * 0.01,
    "of many scales": normal(3) * spread,
    "zero": np.zeros((1, 256)),
    "constant": np.ones((4, 256)) * np.array([[1.0], [-0.37], [3e-5], [-1e-17]]),
    "tiny": normal(3) * np.array([[1e-6], [1e-10], [3e-16]]),
    "subnormal": normal(2) * np.array([[1e-39], [1e-44]]),
    "large": normal(2) * np.array([[1e3], [1e4]]),
    "with outliers": outliers,
    "one-sided": np.stack([abs(normal()[0]), -abs(normal()[0]), normal()[0] * 0.01 + 1, normal()[0] * 0.01 - 1]),
    "mostly zero": np.concatenate([one_part, normal(1) * (random.random((1, 256)) < 0.05)]),
    "tied": ties,
    "of whole numbers": random.integers(-9, 10, (3, 256)).astype(np.float64),
    "rounded to bf16": (normal(4) * 0.05).astype(np.float32).view(np.uint32).__and__(0xFFFF0000).view(np.float32),
}
inputs = np.concatenate([np.asarray(part).astype(np.float32) for part in rows.values()])

if __name__ == "__main__":
    folder = fresh_folder("gguf-blocks")
    (folder / "inputs.f32").write_bytes(inputs.astype("<f4").tobytes())
    for name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"):
        (folder / f"{name}.bin").write_bytes(quantize(inputs, GGMLQuantizationType[name]).tobytes())
    for name in ("F16", "BF16"):  # the rest of their arithmetic is in data/halves
        (folder / f"{name}.bin").write_bytes(quantize(inputs[::4], GGMLQuantizationType[name]).tobytes())
    made_by = {**versions("numpy", "gguf"), "llama-cpp-python": options.llama_cpp_python}
    write_json(folder / "golden.json", {"versions": made_by, "rows": {name: len(part) for name, part in rows.items()}})
