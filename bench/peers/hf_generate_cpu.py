"""Greedy decoding with transformers on the processor, one answer a line on standard input.

    python hf_generate_cpu.py '{"config": {...}, "model": FOLDER, "prompt": [ids], "tokens": 128, "dtype": "f32", "threads": 2}'
"""

import json
import os
import sys
import time

options = json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(options["threads"])

import torch  # noqa: E402
import transformers  # noqa: E402
from race import serve  # noqa: E402

torch.set_num_threads(options["threads"])
dtype = torch.bfloat16 if options["dtype"] == "bf16" else torch.float32
model = transformers.LlamaForCausalLM.from_pretrained(options["model"], dtype=dtype, attn_implementation="sdpa").eval()
prompt = torch.tensor([options["prompt"]])
count = options["tokens"]


def step(_: dict) -> dict:
    start = time.perf_counter()
    with torch.inference_mode():
        ids = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=count, max_new_tokens=count, pad_token_id=0
        )
    return {"seconds": time.perf_counter() - start, "tokens": ids.shape[1] - prompt.shape[1]}


serve({"threads": torch.get_num_threads(), "torch": torch.__version__, "transformers": transformers.__version__}, step)
