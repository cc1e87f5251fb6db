"""OpenBLAS (through numpy) in GFLOP/s, float32, on 1 and 2 threads: the baseline of the native matrix product.

    python bench/openblas_gemm.py [threads ...]        prints JSON; needs numpy and threadpoolctl

Y[m, n] = X[m, k] W[n, k]^T on normal data. `best` of the rounds is the figure to compare with; `median` tells how quiet
the machine was. OPENBLAS_CORETYPE must be unset, or numpy may run kernels of another processor.
"""

import json
import os
import statistics
import sys
import time

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

SHAPES = {
    "square 1024": (1024, 1024, 1024),
    "SmolLM2 q, o": (512, 576, 576),
    "SmolLM2 k, v": (512, 192, 576),
    "SmolLM2 gate, up": (512, 1536, 576),
    "SmolLM2 down": (512, 576, 1536),
    "SmolLM2 head": (512, 49152, 576),
}
ROUNDS = 60
SECONDS_A_ROUND = 0.025


def measure(m: int, n: int, k: int) -> dict:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, k), dtype=np.float32)
    w = rng.standard_normal((n, k), dtype=np.float32)
    y = np.empty((m, n), dtype=np.float32)
    np.matmul(x, w.T, out=y)
    start = time.perf_counter()
    np.matmul(x, w.T, out=y)
    repeats = max(1, round(SECONDS_A_ROUND / (time.perf_counter() - start)))
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            np.matmul(x, w.T, out=y)
        rates.append(2e-9 * m * n * k * repeats / (time.perf_counter() - start))
    return {"best": round(max(rates), 1), "median": round(statistics.median(rates), 1)}


def main(threads: list[int]) -> None:
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if name in os.environ:
            sys.exit(f"{name} is set: unset it, or the figures are not OpenBLAS's own")
    blas = next(info for info in threadpool_info() if info["user_api"] == "blas")
    out = {
        "library": f"{blas['internal_api']} {blas['version']}", "kernels": blas["architecture"], "numpy": np.__version__,
        "load": os.getloadavg()[0], "unit": "GFLOP/s", "results": [],
    }  # fmt: skip
    for count in threads:
        with threadpool_limits(count, user_api="blas"):
            for name, (m, n, k) in SHAPES.items():
                out["results"].append({"threads": count, "shape": name, "m": m, "n": n, "k": k, **measure(m, n, k)})
    out["loadAfter"] = os.getloadavg()[0]
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1, 2])
