"""Files of the safetensors package, and a check of files written by @ft/weights.

    pip install numpy==2.4.6 ml_dtypes==0.6.0 safetensors==0.8.0
    python tools/goldens/safetensors_files.py                 # writes data/safetensors/
    python tools/goldens/safetensors_files.py FILE [FILE...]  # reads files and prints their tensors as JSON

pytorch.safetensors holds one tensor of each dtype that @ft/tensor has, in the layout save_file gives them; writing the same values here
must give the same bytes. other.safetensors holds dtypes that are converted on reading. Values are small whole numbers, so that
every dtype holds them exactly: element i of a tensor is (i * 7 + 3) % 11 - 5, and its absolute value for unsigned dtypes.
"""

import json
import pathlib
import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

here = pathlib.Path(__file__).parent / "data" / "safetensors"


def values(dtype, *shape):
    plain = (np.arange(int(np.prod(shape))) * 7 + 3) % 11 - 5
    if np.dtype(dtype).kind in "ub":
        plain = np.abs(plain)
    return plain.astype(dtype).reshape(shape)


def write():
    here.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "a.f64": values(np.float64, 2, 3),
            "b.f32": values(np.float32, 3, 4),
            "b.f32.scalar": values(np.float32),
            "c.i32": values(np.int32, 5),
            "d.f16": values(np.float16, 2, 2, 2),
            "e.i8": values(np.int8, 7),
            "f.u8": values(np.uint8, 3, 3),
            "g.bool": values(bool, 4),
            "h.empty": values(np.float32, 0, 4),
            "naïve/名前 \"quoted\"": values(np.float32, 1),
        },
        here / "pytorch.safetensors",
        metadata={"format": "pt"},
    )
    save_file(
        {
            "i64": values(np.int64, 6),
            "u64": values(np.uint64, 6),
            "u32": values(np.uint32, 6),
            "i16": values(np.int16, 6),
            "u16": values(np.uint16, 6),
            "bf16": values(ml_dtypes.bfloat16, 2, 3),
        },
        here / "other.safetensors",
    )


def show(path):
    return {k: {"dtype": str(v.dtype), "shape": v.shape, "values": v.astype(float).ravel().tolist()} for k, v in load_file(path).items()}


if len(sys.argv) > 1:
    print(json.dumps({path: show(path) for path in sys.argv[1:]}, ensure_ascii=False))
else:
    write()
