"""LoRA steps of PyTorch + PEFT on the processor, one a line on standard input.

    python hf_lora_cpu.py '{"config": {...}, "batch": 4, "seq": 512, "rank": 16, "dtype": "f32", "checkpointing": false, "threads": 2}'

config.json's fields give the shape; weights are transformers' own random ones, N(0, 0.02). Every position is a target.
bf16: the base model in bf16 under autocast, adapters in f32, as PEFT trains them.
"""

import contextlib
import json
import os
import sys
import time

options = json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(options["threads"])

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from race import serve  # noqa: E402

torch.set_num_threads(options["threads"])
torch.manual_seed(0)
shape = {key: value for key, value in options["config"].items() if key not in ("architectures", "torch_dtype", "model_type")}
config = transformers.LlamaConfig(**shape, attn_implementation="sdpa", use_cache=False)
model = transformers.LlamaForCausalLM(config)
half = options["dtype"] == "bf16"
if half:
    model = model.to(torch.bfloat16)
rank = options["rank"]
adapters = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
model = peft.get_peft_model(model, adapters)
parameters = [p for p in model.parameters() if p.requires_grad]
for p in parameters:
    p.data = p.data.float()
if options["checkpointing"]:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
optimizer = torch.optim.AdamW(parameters, lr=2e-4)
model.train()
size = (options["batch"], options["seq"])


def step(_: dict) -> dict:
    # the model shifts the labels: the last place of a row has no target there, one in 512, but its scores are made all the same
    ids = torch.randint(0, config.vocab_size, size)
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16) if half else contextlib.nullcontext():
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return {"seconds": time.perf_counter() - start, "loss": loss.item(), "tokens": ids.numel()}


serve({
    "threads": torch.get_num_threads(), "torch": torch.__version__, "transformers": transformers.__version__,
    "peft": peft.__version__, "trainable": sum(p.numel() for p in parameters),
}, step)  # fmt: skip
