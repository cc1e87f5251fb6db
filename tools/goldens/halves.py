"""Digests of half-precision conversions made by NumPy (f16) and ml_dtypes (bf16).

    pip install numpy==2.4.6 ml_dtypes==0.6.0
    python tools/goldens/halves.py

Writes data/halves/halves.json. Every f16 and bf16 pattern is widened to f32, and every f32 pattern of an arithmetic
progression through all 2^32 (step 4,099, a prime) is narrowed. NaNs are replaced by one canonical pattern before
hashing: libraries agree that they stay NaN, not on their payload.
"""

import hashlib
import json
import pathlib

import ml_dtypes
import numpy as np

STEP = 4_099


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def widened(dtype) -> str:
    wide = np.arange(65_536, dtype=np.uint32).astype(np.uint16).view(dtype).astype(np.float32)
    return digest(np.where(np.isnan(wide), np.uint32(0x7FC00000), wide.view(np.uint32)))


def narrowed(dtype, nan: int) -> str:
    wide = np.arange(0, 2**32, STEP, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = wide.astype(dtype).view(np.uint16)
    return digest(np.where(np.isnan(wide), np.uint16(nan), narrow))


out = pathlib.Path(__file__).parent / "data" / "halves" / "halves.json"
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(
    json.dumps(
        {
            "made_by": {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__},
            "step": STEP,
            "f16_to_f32": widened(np.float16),
            "bf16_to_f32": widened(ml_dtypes.bfloat16),
            "f32_to_f16": narrowed(np.float16, 0x7E00),
            "f32_to_bf16": narrowed(ml_dtypes.bfloat16, 0x7FC0),
        },
        indent=2,
    )
    + "\n"
)
