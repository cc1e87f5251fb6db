"""Tiny random Llamas: logits, loss, gradients, LoRA and training traces, by transformers, PEFT and torch in float32.

    python llama.py [case ...]        writes data/llama-<case>/, layout in README.md
"""

import json
import math
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from transformers.utils.logging import disable_progress_bar

from common import fresh_folder, versions, write_json, write_tensors

IGNORED = -100
TRACE_STEPS = 20
LEARNING_RATE = 1e-2
FULL_LEARNING_RATE = 3e-3
ADAMW = {"betas": [0.9, 0.999], "eps": 1e-8, "weightDecay": 0.01}

BASE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False,
    bos_token_id=1, eos_token_id=2, pad_token_id=None,
)  # fmt: skip

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip

# Row lengths are ragged on purpose; the first row of each case fills the sequence.
CASES = {
    "gqa": dict(config={}, lengths=[24, 17, 9]),
    "mha-tied": dict(config=dict(num_key_value_heads=4, tie_word_embeddings=True), lengths=[24, 19, 7]),
    "llama3-rope": dict(config=dict(head_dim=16), theta=500000.0, scaling=LLAMA3, lengths=[48, 33, 21]),
    "linear-rope": dict(config={}, scaling={"rope_type": "linear", "factor": 2.0}, lengths=[24, 15, 11]),
    "bias": dict(config=dict(attention_bias=True, mlp_bias=True), lengths=[24, 13, 18]),
}


# ---------------------------------------------------------------------------------------------- models and batches


def make_config(case: dict) -> LlamaConfig:
    rope = {"rope_type": "default", "rope_theta": case.get("theta", 10000.0), **case.get("scaling", {})}
    return LlamaConfig(**{**BASE, **case["config"]}, rope_parameters=rope, attn_implementation="eager", dtype="float32")


def make_model(config: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """Weights large enough that logits are far from uniform and no gradient drowns in rounding."""
    model = LlamaForCausalLM(config).float()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(1 + 0.2 * noise)
            elif name.endswith(".bias"):
                p.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                p.copy_(0.5 * noise)
            else:
                p.copy_(noise * (1.4 / math.sqrt(p.shape[1])))
    return model


def legacy_config(folder: Path) -> None:
    """The same config as transformers 4 wrote it: rope_theta and rope_scaling instead of rope_parameters, torch_dtype."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.51.0"
    (folder / "config.legacy.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_batches(lengths: list[int], vocab: int, seed: int) -> tuple[dict, dict]:
    """The same rows padded one a row, and packed behind each other into one row that ends in three padding tokens.

    Targets are the next token of the row; none for the first third (the prompt) and for the last position.
    """
    generator = torch.Generator().manual_seed(seed)
    seq = max(lengths)
    padded = {"batch": len(lengths), "seq": seq, "tokens": [], "targets": [], "positions": [], "segments": []}
    packed = {"batch": 1, "seq": sum(lengths) + 3, "tokens": [], "targets": [], "positions": [], "segments": []}
    for row, length in enumerate(lengths):
        tokens = torch.randint(3, vocab, (length,), generator=generator).tolist()
        targets = [*tokens[1:], IGNORED]
        targets[: length // 3] = [IGNORED] * (length // 3)
        gap = seq - length
        padded["tokens"] += tokens + [0] * gap
        padded["targets"] += targets + [IGNORED] * gap
        padded["positions"] += [*range(length)] + [0] * gap
        padded["segments"] += [1] * length + [0] * gap
        packed["tokens"] += tokens
        packed["targets"] += targets
        packed["positions"] += range(length)
        packed["segments"] += [row + 1] * length
    packed["tokens"] += [0] * 3
    packed["targets"] += [IGNORED] * 3
    packed["positions"] += [0] * 3
    packed["segments"] += [0] * 3
    for batch in (padded, packed):
        batch["targetTokens"] = sum(t != IGNORED for t in batch["targets"])
    return padded, packed


def grid(batch: dict, key: str) -> torch.Tensor:
    return torch.tensor(batch[key]).view(batch["batch"], batch["seq"])


def forward(model, batch: dict) -> torch.Tensor:
    """Logits under an explicit mask: causal, and only within a segment. Padding sees itself, so no row of the mask is empty."""
    segments = grid(batch, "segments")
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones(batch["seq"], batch["seq"], dtype=torch.bool).tril()
    mask = torch.where(same & causal, 0.0, torch.finfo(torch.float32).min)[:, None]
    out = model(input_ids=grid(batch, "tokens"), position_ids=grid(batch, "positions"), attention_mask=mask, use_cache=False)
    return out.logits


def loss_sum(logits: torch.Tensor, batch: dict) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), grid(batch, "targets").flatten(), ignore_index=IGNORED, reduction="sum")


def without_padding(logits: torch.Tensor, batch: dict) -> torch.Tensor:
    """[tokens, vocab]: the logits of the positions that are not padding, in row-major order."""
    return logits.flatten(0, 1)[grid(batch, "segments").flatten() > 0]


def evaluate(model, batch: dict) -> tuple[dict, torch.Tensor, dict[str, torch.Tensor]]:
    """Loss, logits and the gradient of the mean loss by parameter name."""
    model.zero_grad(set_to_none=True)
    logits = forward(model, batch)
    total = loss_sum(logits, batch)
    (total / batch["targetTokens"]).backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    loss = {"sum": total.item(), "count": batch["targetTokens"], "mean": (total / batch["targetTokens"]).item()}
    return loss, without_padding(logits, batch).detach(), grads


def by_transformers_loss(model, batch: dict) -> float:
    """The mean loss as transformers itself computes it from labels and a padding mask: a check of the harness above."""
    tokens, targets = grid(batch, "tokens"), grid(batch, "targets")
    labels = torch.full_like(tokens, IGNORED)
    labels[:, 1:] = targets[:, :-1]
    with torch.no_grad():
        return model(input_ids=tokens, attention_mask=grid(batch, "segments"), labels=labels).loss.item()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def worst(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(distance(a[name], b[name]) for name in b)


# ------------------------------------------------------------------------------------------------------------ LoRA


def lora_config(**changes) -> LoraConfig:
    return LoraConfig(**{**dict(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"), **changes})


def saved_name(name: str) -> str:
    """The name under which PEFT saves a parameter. A bias of an adapted module keeps its `base_layer.`."""
    return name.replace(".default.", ".")


def with_lora(folder: Path, config: LoraConfig, seed: int) -> PeftModel:
    """A fresh base with an adapter: A as PEFT initialises it, B not zero, so that every gradient is there."""
    torch.manual_seed(seed)
    model = get_peft_model(load(folder), config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.15)
            elif p.requires_grad and name.endswith(".bias"):
                p.add_(torch.randn_like(p) * 0.1)
    return model


def load(folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """As PEFT saves it, less what would change from run to run: the path of the base and the order of a set."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = None
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config[key], list):
            config[key].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def adapter_state(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: t.detach().clone() for name, t in get_peft_model_state_dict(model).items()}


def adapted_modules(model: PeftModel) -> list[str]:
    return sorted(name.removeprefix("base_model.model.") for name, m in model.named_modules() if hasattr(m, "lora_A"))


def trace(model, batch: dict, schedule=None, max_norm: float | None = None, groups=None, lr: float = LEARNING_RATE) -> dict:
    """TRACE_STEPS steps of AdamW on one batch. losses[i] is the loss before step i + 1; the last one is after all steps."""
    params = [p for p in model.parameters() if p.requires_grad]
    options = dict(betas=tuple(ADAMW["betas"]), eps=ADAMW["eps"], weight_decay=ADAMW["weightDecay"])
    optimizer = torch.optim.AdamW(groups or params, lr=lr, **options)
    scheduler = schedule(optimizer) if schedule else None
    losses, rates, norms = [], [], []
    for _ in range(TRACE_STEPS):
        optimizer.zero_grad()
        loss = loss_sum(forward(model, batch), batch) / batch["targetTokens"]
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(params, max_norm or math.inf).item())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler:
            scheduler.step()
    with torch.no_grad():
        losses.append((loss_sum(forward(model, batch), batch) / batch["targetTokens"]).item())
    return {"losses": losses, "learningRates": rates, "gradNorms": norms}


def sensitivity(folder: Path, batch: dict, seed: int, steps: dict, final: dict[str, torch.Tensor]) -> dict:
    """How far the trace moves when each weight of the adapter starts off by about one part in a million."""
    model = with_lora(folder, lora_config(), seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.mul_(1 + 1e-6 * torch.randn_like(p))
    moved = trace(model, batch)
    losses = max(abs(a / b - 1) for a, b in zip(moved["losses"], steps["losses"], strict=True))
    return {"perturbation": 1e-6, "losses": losses, "final": worst(adapter_state(model), final)}


def full_trace(folder: Path, batch: dict, tensors: dict) -> dict:
    """The same for all parameters, with transformers' groups: no decay for norms and biases."""
    model = load(folder)
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for name, p in named.items() if name in decayed]},
        {"params": [p for name, p in named.items() if name not in decayed], "weight_decay": 0.0},
    ]
    steps = trace(model, batch, groups=groups, lr=FULL_LEARNING_RATE)
    tensors.update({f"full.final.{name}": named[name] for name in ("model.embed_tokens.weight", "model.norm.weight")})
    return {"learningRate": FULL_LEARNING_RATE, "notDecayed": [name for name in named if name not in decayed], **steps}


SCHEDULES = {
    "constant": get_constant_schedule_with_warmup,
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
}


def schedule_traces(folder: Path, batch: dict, seed: int, tensors: dict) -> dict:
    """Traces under each schedule (4 steps of warm-up) with the gradient clipped to norm 1; final weights of the cosine one."""
    out = {"warmupSteps": 4, "totalSteps": TRACE_STEPS, "maxGradNorm": 1.0}
    for name, make in SCHEDULES.items():
        model = with_lora(folder, lora_config(), seed)
        steps = {} if name == "constant" else {"num_training_steps": TRACE_STEPS}
        out[name] = trace(model, batch, lambda o: make(o, num_warmup_steps=4, **steps), max_norm=1.0)
        assert out[name]["losses"][-1] < out[name]["losses"][0] - 0.3
        if name == "cosine":
            tensors.update({f"cosine.final.{k}": v for k, v in adapter_state(model).items()})
    assert max(out["cosine"]["gradNorms"]) > 1.0, "clipping never acted"
    return out


# Each is one thing PEFT does differently from the default; `of` names the case that it is recorded for.
VARIANTS = {
    "rslora": dict(of="gqa", config=dict(use_rslora=True)),
    "patterns": dict(
        of="gqa",
        config=dict(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6}, alpha_pattern={"v_proj": 3, r"^model\.layers\.0\.self_attn\.o_proj": 20}),
    ),
    "regex": dict(of="gqa", config=dict(target_modules=r".*\.layers\.1\..*(q_proj|up_proj)|.*gate_proj")),
    "exclude-list": dict(of="gqa", config=dict(target_modules=["q_proj", "v_proj", "down_proj"], exclude_modules=["layers.0.self_attn.v_proj", "down_proj"])),
    "exclude-regex": dict(of="gqa", config=dict(exclude_modules=r".*\.layers\.0\..*|.*k_proj")),
    "bias-all": dict(of="bias", config=dict(bias="all", target_modules=["q_proj", "down_proj"])),
    "bias-lora-only": dict(of="bias", config=dict(bias="lora_only", target_modules=["q_proj", "down_proj"])),
}  # fmt: skip


def variant(folder: Path, name: str, config: dict, batch: dict, seed: int, tensors: dict) -> dict:
    """One adapter variant: its folder adapter-<name>/, what it matches and trains, loss, logits and gradients."""
    model = with_lora(folder, lora_config(**config), seed)
    save_adapter(model, folder / f"adapter-{name}")
    loss, logits, grads = evaluate(model, batch)
    tensors[f"{name}.logits"] = logits
    tensors.update({f"{name}.grad.{saved_name(k)}": g for k, g in grads.items()})
    assert {saved_name(k) for k in grads} == adapter_state(model).keys()
    settings = {k: list(v) if isinstance(v, set) else v for k, v in config.items()}
    scaling = {n.removeprefix("base_model.model."): m.scaling["default"] for n, m in model.named_modules() if hasattr(m, "lora_A")}
    return {"config": settings, "modules": adapted_modules(model), "scaling": scaling,
            "trainable": sorted(saved_name(k) for k in grads), "loss": loss}  # fmt: skip


def initialisation(folder: Path) -> dict:
    """What PEFT draws: statistics of A over 64 fresh adapters, by kind of initialisation. B is zero in all of them."""
    out = {}
    for kind in (True, "gaussian"):
        values = []
        for seed in range(64):
            torch.manual_seed(seed)
            module = get_peft_model(load(folder), lora_config(target_modules=["q_proj"], init_lora_weights=kind)).base_model.model.model.layers[0].self_attn.q_proj
            values.append(module.lora_A["default"].weight.detach().flatten())
            assert module.lora_B["default"].weight.abs().max() == 0
        drawn = torch.cat(values)
        out[str(kind).lower()] = {"inFeatures": 32, "r": 4, "min": drawn.min().item(), "max": drawn.max().item(), "mean": drawn.mean().item(), "std": drawn.std().item()}
    return out


# ------------------------------------------------------------------------------------------------------------ case


def generate(name: str) -> None:
    case, seed = CASES[name], 1000 + list(CASES).index(name)
    folder = fresh_folder(f"llama-{name}")
    config = make_config(case)
    make_model(config, seed).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    legacy_config(folder)

    padded, packed = make_batches(case["lengths"], config.vocab_size, seed)
    model = load(folder)
    tensors: dict[str, torch.Tensor] = {}

    loss, logits, grads = evaluate(model, padded)
    loss_packed, logits_packed, grads_packed = evaluate(model, packed)
    tensors["logits"] = logits
    tensors.update({f"grad.{k}": g for k, g in grads.items()})
    agreement = {
        "packedLogits": distance(logits_packed, logits), "packedGradients": worst(grads_packed, grads),
        "packedLoss": abs(loss_packed["sum"] / loss["sum"] - 1),
        "transformersLoss": abs(by_transformers_loss(model, padded) / loss["mean"] - 1),
    }  # fmt: skip

    lora_seed = seed + 500
    lora = with_lora(folder, lora_config(), lora_seed)
    save_adapter(lora, folder / "adapter")
    lora_loss, lora_logits, lora_grads = evaluate(lora, padded)
    _, _, lora_grads_packed = evaluate(lora, packed)
    agreement["packedLoraGradients"] = worst(lora_grads_packed, lora_grads)
    tensors["lora.logits"] = lora_logits
    tensors.update({f"lora.grad.{saved_name(k)}": g for k, g in lora_grads.items()})
    record = {"config": {"r": 4, "lora_alpha": 8}, "modules": adapted_modules(lora), "loss": lora_loss,
              "trainableParameters": lora.get_nb_trainable_parameters()[0], "allParameters": lora.get_nb_trainable_parameters()[1]}  # fmt: skip
    steps = trace(lora, padded)
    assert steps["losses"][-1] < 0.5 * steps["losses"][0], "the trace hardly moves"
    final = adapter_state(lora)
    tensors.update({f"lora.final.{k}": v for k, v in final.items()})

    golden = {
        "case": name, "versions": versions("torch", "transformers", "peft", "safetensors"), "dtype": "float32",
        "padded": padded, "packed": packed, "loss": loss, "lora": record,
        "trace": {"optimizer": "adamw", "learningRate": LEARNING_RATE, **ADAMW, **steps, "sensitivity": sensitivity(folder, padded, lora_seed, steps, final)},
    }  # fmt: skip
    if name in ("gqa", "mha-tied"):
        golden["full"] = full_trace(folder, padded, tensors)
        assert golden["full"]["losses"][-1] < 0.7 * golden["full"]["losses"][0]
    if name == "gqa":
        golden["schedules"] = schedule_traces(folder, padded, lora_seed, tensors)
        golden["init"] = initialisation(folder)
        merged = with_lora(folder, lora_config(), lora_seed).merge_and_unload()
        tensors.update({f"merged.{k}": v for k, v in merged.state_dict().items() if "_proj" in k})
        agreement["mergedLogits"] = distance(without_padding(forward(merged, padded), padded), lora_logits)
    golden["variants"] = {
        key: variant(folder, key, v["config"], padded, lora_seed, tensors) for key, v in VARIANTS.items() if v["of"] == name
    }

    # The config in the older spelling must mean the same model.
    old = json.loads((folder / "config.legacy.json").read_text())
    legacy = LlamaForCausalLM(LlamaConfig.from_dict({**old, "attn_implementation": "eager"})).float()
    legacy.load_state_dict(load_file(folder / "model.safetensors"), strict=not config.tie_word_embeddings)
    legacy.config._attn_implementation = "eager"
    agreement["legacyConfigLogits"] = distance(without_padding(forward(legacy, padded), padded), logits)

    assert all(v < 2e-6 for v in agreement.values()), agreement
    golden["agreement"] = agreement
    write_json(folder / "golden.json", golden)
    write_tensors(folder / "golden.safetensors", tensors)
    faint = min((g.norm() / math.sqrt(g.numel())).item() for g in [*grads.values(), *lora_grads.values()])
    print(f"{name}: loss {loss['mean']:.4f}, LoRA {lora_loss['mean']:.4f} -> {steps['losses'][-1]:.4f}, faintest gradient rms {faint:.1e}, {agreement}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for chosen in sys.argv[1:] or CASES:
        generate(chosen)
