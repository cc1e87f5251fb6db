"""Next-token distributions of .gguf files in llama.cpp, without rounded activations, against ours over the same files.

    CMAKE_ARGS="-DGGML_BLAS=ON -DGGML_BLAS_VENDOR=OpenBLAS" pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36
    npm run build && python tools/goldens/gguf_check.py FILE.gguf ...

With BLAS, ggml turns the weights of a product with 32 rows or more into float32 and leaves the other side as it is; its CPU
kernels would round that side to 8 bits. Weights rearranged for those kernels (extra buffers) are turned off. Prints the mean
and largest KL(ours, llama.cpp) in nats over 64 positions of each file; exit status 1 where a mean is above 1e-4.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp.llama_cpp as low
import numpy as np
from llama_cpp import Llama
from safetensors.numpy import load_file

here = pathlib.Path(__file__).parent
positions = 64
defaults = low.llama_model_default_params


def without_extra_buffers():
    params = defaults()
    params.use_extra_bufts = False
    return params


low.llama_model_default_params = without_extra_buffers


def theirs(path: str, ids: list[int]) -> np.ndarray:
    whole = dict(n_ctx=256, n_batch=256, n_ubatch=256, logits_all=True, type_k=0, type_v=0, flash_attn=False)
    model = Llama(path, verbose=False, **whole)
    model.eval(ids)
    scores = np.array(model.scores[: len(ids)], dtype=np.float64)
    model.close()
    return scores


def ours(path: str, ids: list[int], folder: pathlib.Path) -> np.ndarray:
    count = len(ids)
    inputs = folder / "inputs.json"
    row = dict(batch=1, seq=count, tokens=ids, positions=list(range(count)), segments=[1] * count)
    inputs.write_text(json.dumps({"padded": row}))
    subprocess.run(["node", here / "merged_ours.mjs", path, folder / "ours", inputs], check=True)
    return load_file(folder / "ours.safetensors")["logits"].astype(np.float64)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


failed = False
for path in sys.argv[1:]:
    vocab = Llama(path, vocab_only=True, verbose=False).n_vocab()
    ids = [(i * 7919 + 13) % vocab for i in range(positions)]
    with tempfile.TemporaryDirectory() as folder:
        p, q = log_softmax(ours(path, ids, pathlib.Path(folder))), log_softmax(theirs(path, ids))
    kl = (np.exp(p) * (p - q)).sum(axis=-1)
    failed |= not kl.mean() <= 1e-4
    print(f"{path}: mean {kl.mean():.2e}, largest {kl.max():.2e}", flush=True)
sys.exit(failed)
