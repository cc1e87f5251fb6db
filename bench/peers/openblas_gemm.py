"""OpenBLAS's f32 product through numpy, one shape a line on standard input: {"m", "n", "k", "transB"}.

    OPENBLAS_NUM_THREADS=2 python openblas_gemm.py

OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE must be unset, or the figures are not OpenBLAS's own choice.
"""

import functools
import os
import sys
import time

import numpy as np
from race import serve

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    if name in os.environ:
        sys.exit(f"{name} is set: unset it")


@functools.cache
def numbers(which: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(which).standard_normal((rows, columns), dtype=np.float32)


def step(task: dict) -> dict:
    m, n, k = task["m"], task["n"], task["k"]
    # two arrays even when the shapes are equal: for a matrix by its own transpose numpy computes half of the result
    a = numbers(0, m, k)
    b = numbers(1, n, k).T if task["transB"] else numbers(1, k, n)
    c = np.empty((m, n), dtype=np.float32)
    np.matmul(a, b, out=c)
    best = float("inf")
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, b, out=c)
        best = min(best, time.perf_counter() - start)
    return {"seconds": best}


blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
serve({"numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}"}, step)
