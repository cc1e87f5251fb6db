"""A digest of what 1.0f / x is in CUDA code that is compiled as bitsandbytes is, with --use_fast_math.

    python bnb_reciprocals.py        on a machine with a GPU and CuPy; writes data/bnb/reciprocals.json

`sha256` is that of the 2^23 results for x in [1, 2), in order, float32; `off` counts those that are one step below, equal
to, or one step above the correctly rounded 1/x. Other exponents have the same mantissas, which is checked; results that
would be subnormal are 0.
"""

import hashlib
import json
from pathlib import Path

import cupy
import numpy as np

SOURCE = 'extern "C" __global__ void reciprocal(const float *x, float *y) { int i = blockIdx.x * 256 + threadIdx.x; y[i] = 1.0f / x[i]; }'
COUNT = 1 << 23


def on_device(x: np.ndarray) -> np.ndarray:
    given, result = cupy.asarray(x), cupy.empty(x.size, dtype=cupy.float32)
    cupy.RawModule(code=SOURCE, options=("--use_fast_math",)).get_function("reciprocal")((x.size // 256,), (256,), (given, result))
    return result.get()


def with_exponent(exponent: int) -> np.ndarray:
    return (np.arange(COUNT, dtype=np.uint32) | np.uint32(exponent << 23)).view(np.float32)


def main() -> None:
    x = with_exponent(127)
    found = on_device(x)
    for exponent in (1, 60, 126, 128, 200, 252):
        scaled = np.ldexp(found.astype(np.float64), 127 - exponent).astype(np.float32)
        assert np.array_equal(on_device(with_exponent(exponent)), scaled), exponent
    above = on_device(with_exponent(253))  # 2^126 itself has a normal reciprocal
    assert above[0] == np.float32(2.0**-126) and not above[1:].any()
    steps = found.view(np.int32) - (1.0 / x.astype(np.float64)).astype(np.float32).view(np.int32)
    record = {
        "versions": {"cupy": cupy.__version__, "cuda": cupy.cuda.runtime.runtimeGetVersion()},
        "device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "sha256": hashlib.sha256(found.tobytes()).hexdigest(),
        "off": {str(step): int((steps == step).sum()) for step in (-1, 0, 1)},
    }
    path = Path(__file__).resolve().parent / "data" / "bnb" / "reciprocals.json"
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
