"""One measurement of PyTorch with transformers, PEFT and bitsandbytes, in a process of its own; prints one line of JSON.

    python peer.py '{"config": {...}, "method": "lora", "batch": 2, "seq": 2048, "compile": false}'

    python peer.py -     one task a line on standard input, one answer a line: importing takes longer than most measurements

The same weights' distribution, token ids, precision and loop as ours.mjs: bf16 base, f32 adapters under autocast, clipping at
norm 1, fused AdamW or bitsandbytes' 8-bit AdamW.
"""

import gc
import json
import os
import statistics
import sys
import time

# when the command was given, on the same clock
START = float(os.environ.get("FT_BENCH_SPAWNED", time.time() * 1000)) / 1000
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

transformers.logging.set_verbosity_error()
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def token_ids(batch: int, seq: int, vocab: int) -> torch.Tensor:
    """The ids of ids.mjs."""
    i = torch.arange(1, batch * seq + 1, dtype=torch.int64)
    return ((i * 48271) % 2147483647 % vocab).view(batch, seq).cuda()


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.bfloat16, device="cuda") * 0.02


def nf4_linears(model: torch.nn.Module) -> None:
    """Puts an NF4 layer with random weights, doubly quantised, in the place of each projection."""
    import bitsandbytes as bnb

    for layer in model.model.layers:
        for holder in (layer.self_attn, layer.mlp):
            for name in PROJECTIONS:
                old = getattr(holder, name, None)
                if old is None:
                    continue
                new = bnb.nn.Linear4bit(
                    old.in_features, old.out_features, bias=False, compute_dtype=torch.bfloat16,
                    compress_statistics=True, quant_type="nf4", device="meta",
                )
                data = normal(old.out_features, old.in_features)
                new.weight = bnb.nn.Params4bit(
                    data, requires_grad=False, quant_type="nf4", compress_statistics=True, blocksize=64, module=new
                ).to("cuda")
                assert new.weight.quant_state is not None
                setattr(holder, name, new)


def build(config: dict, method: str) -> torch.nn.Module:
    torch.manual_seed(0)
    left_out = {"model_type", "architectures", "torch_dtype", "rope_scaling"}
    facts = LlamaConfig(**{k: v for k, v in config.items() if k not in left_out}, attn_implementation="sdpa")
    facts.use_cache = method == "decode"
    torch.set_default_dtype(torch.bfloat16)
    if method != "qlora":
        with torch.device("cuda"):
            model = LlamaForCausalLM(facts)
    else:
        with torch.device("meta"):
            model = LlamaForCausalLM(facts)
        nf4_linears(model)
        for module in model.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                if value.device.type == "meta":
                    made = torch.ones_like(value, device="cuda") if value.dim() == 1 else normal(*value.shape)
                    setattr(module, name, torch.nn.Parameter(made, requires_grad=False))
        model.tie_weights()
        model.model.rotary_emb = type(model.model.rotary_emb)(config=facts, device="cuda")
        model.is_loaded_in_4bit = True
    torch.set_default_dtype(torch.float32)
    if method in ("full", "decode"):
        return model
    from peft import LoraConfig, get_peft_model

    model.requires_grad_(False)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=PROJECTIONS, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    for value in model.parameters():
        if value.requires_grad:
            value.data = value.data.float()
    return model


def optimizer_of(task: dict, parameters: list) -> torch.optim.Optimizer:
    kind = task.get("optimizer") or ("adamw" if task["method"] == "lora" else "adamw8bit")
    rate = task.get("learningRate", 2e-5)
    if kind == "adamw8bit":
        import bitsandbytes as bnb

        return bnb.optim.AdamW8bit(parameters, lr=rate, weight_decay=0.0)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, fused=True)


def train(task: dict, model: torch.nn.Module) -> dict:
    batch, seq = task["batch"], task["seq"]
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_of(task, parameters)
    if task.get("checkpointing"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if task["method"] != "full":
            model.enable_input_require_grads()
    forward = torch.compile(model) if task.get("compile") else model
    ids = token_ids(batch, seq, task["config"]["vocab_size"])
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    seconds, losses, first, from_start = [], [], None, None
    for i in range(task["warm"] + task["steps"]):
        begun = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=task["method"] != "full"):
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        torch.cuda.synchronize()
        now = time.perf_counter() - begun
        if i == 0:
            first, from_start = now, time.time() - START
        if i >= task["warm"]:
            seconds.append(now)
    step = statistics.median(seconds)
    return {
        "tokensPerSecond": batch * seq / step, "step": step, "first": first, "fromStart": from_start,
        "loss": [losses[0], losses[-1]],
    }


def decode(task: dict, model: torch.nn.Module) -> dict:
    count = task.get("tokens", 128)
    model.eval()
    ids = token_ids(task["batch"], task["seq"], task["config"]["vocab_size"])
    torch.cuda.reset_peak_memory_stats()
    seconds, first = [], None
    for i in range(task["warm"] + task["steps"]):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=count, max_new_tokens=count,
                pad_token_id=0,
            )
        torch.cuda.synchronize()
        now = time.perf_counter() - begun
        assert out.shape[1] == task["seq"] + count
        first = first or now
        if i >= task["warm"]:
            seconds.append(now)
    step = statistics.median(seconds)
    return {"tokensPerSecond": task["batch"] * count / step, "step": step, "first": first}


def measure(task: dict) -> dict:
    task = {"warm": 3, "steps": 8, **task}
    said = {k: v for k, v in task.items() if k != "config"}
    said |= {"side": "peer", "torch": torch.__version__, "transformers": transformers.__version__}
    try:
        begun = time.time()
        model = build(task["config"], task["method"])
        torch.cuda.synchronize()
        said |= {"card": torch.cuda.get_device_name(), "loaded": time.time() - begun}
        said |= (decode if task["method"] == "decode" else train)(task, model)
        said |= {"peak": torch.cuda.max_memory_allocated(), "held": torch.cuda.max_memory_reserved()}
    except Exception as error:  # what a row could not do is its result
        said["error"] = repr(error)[:400]
    return said


def main() -> None:
    if sys.argv[1] != "-":
        print(json.dumps(measure(json.loads(sys.argv[1]))), flush=True)
        return
    for line in sys.stdin:
        said = measure(json.loads(line))
        said.pop("fromStart", None)  # the process is older than the task
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        print(json.dumps(said), flush=True)


main()
