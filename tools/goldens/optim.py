"""Ten-step traces of torch.optim and lion-pytorch on given gradients, gradient clipping, schedules, and which parameters are not decayed.

python optim.py        writes data/optim/golden.json
"""

from pathlib import Path

import torch
from lion_pytorch import Lion
from transformers import LlamaForCausalLM, Trainer, get_scheduler

from common import DATA, fresh_folder, versions, write_json

STEPS = 10
SHAPES = {"matrix": (3, 5), "vector": (7,)}
DTYPES = {"f32": torch.float32, "f64": torch.float64}

# Names of the settings are torch's. `decay_free` lists parameters that go into a group without weight decay.
RUNS = {
    "sgd": dict(optimizer="sgd", lr=0.05),
    "sgd-momentum": dict(optimizer="sgd", lr=0.05, momentum=0.9),
    "sgd-nesterov": dict(optimizer="sgd", lr=0.05, momentum=0.9, nesterov=True),
    "sgd-dampening": dict(optimizer="sgd", lr=0.05, momentum=0.9, dampening=0.4),
    "sgd-decay": dict(optimizer="sgd", lr=0.05, weight_decay=0.1),
    "sgd-nesterov-decay": dict(optimizer="sgd", lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": dict(optimizer="adamw", lr=0.05),
    "adamw-no-decay": dict(optimizer="adamw", lr=0.05, weight_decay=0.0),
    "adamw-groups": dict(optimizer="adamw", lr=0.05, weight_decay=0.1, decay_free=["vector"]),
    "adamw-betas": dict(optimizer="adamw", lr=0.02, betas=[0.8, 0.95], eps=1e-3, weight_decay=0.05),
    "adam": dict(optimizer="adam", lr=0.05),
    "adam-decay": dict(optimizer="adam", lr=0.02, betas=[0.8, 0.95], eps=1e-3, weight_decay=0.1),
    "adam-groups": dict(optimizer="adam", lr=0.05, weight_decay=0.1, decay_free=["vector"]),
    "lion": dict(optimizer="lion", lr=0.01),
    "lion-decay": dict(optimizer="lion", lr=0.02, betas=[0.8, 0.95], weight_decay=0.1),
    "lion-groups": dict(optimizer="lion", lr=0.02, weight_decay=0.1, decay_free=["vector"]),
    "rmsprop": dict(optimizer="rmsprop", lr=0.01),
    "rmsprop-decay": dict(optimizer="rmsprop", lr=0.02, alpha=0.9, eps=1e-3, weight_decay=0.1),
    "rmsprop-momentum": dict(optimizer="rmsprop", lr=0.01, momentum=0.9),
    "rmsprop-centered": dict(optimizer="rmsprop", lr=0.01, alpha=0.8, eps=1e-3, centered=True),
    "rmsprop-all": dict(optimizer="rmsprop", lr=0.01, alpha=0.8, eps=1e-3, momentum=0.5, centered=True, weight_decay=0.1, decay_free=["vector"]),
    "adamw-schedule": dict(optimizer="adamw", lr=[0.0, 0.01, 0.02, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01, 0.0]),
}
MAKE = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


def make_problem() -> tuple[dict, dict]:
    """Start values and gradients of ten steps. Some gradients are tiny (epsilon counts), one step has none at all."""
    generator = torch.Generator().manual_seed(7)
    initial = {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}
    gradients = {n: torch.randn(STEPS, *s, generator=generator) for n, s in SHAPES.items()}
    for g in gradients.values():
        g[..., 0] *= 1e-8
        g[..., 1] *= 100
        g[4] = 0
    return initial, gradients


def run(settings: dict, initial: dict, gradients: dict, dtype: torch.dtype) -> dict:
    """Parameters after every step, flat, and the optimizer's slots after the last one."""
    options = dict(settings)
    kind, free, lr = options.pop("optimizer"), options.pop("decay_free", []), options.pop("lr")
    rates = lr if isinstance(lr, list) else [lr] * STEPS
    params = {n: t.to(dtype).clone().requires_grad_() for n, t in initial.items()}
    groups = [{"params": [p for n, p in params.items() if n not in free]}]
    if free:
        groups.append({"params": [params[n] for n in free], "weight_decay": 0.0})
    if kind == "lion":
        optimizer = Lion(groups, lr=rates[0], **options)
    else:
        optimizer = MAKE[kind](groups, lr=rates[0], foreach=False, **options)
    after = {n: [] for n in params}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        for name, p in params.items():
            p.grad = gradients[name][step].to(dtype).clone()
        optimizer.step()
        for name, p in params.items():
            after[name].append(p.detach().flatten().tolist())
    slots = {
        name: {key: t.flatten().tolist() for key, t in optimizer.state[p].items() if torch.is_tensor(t) and t.dim() > 0}
        for name, p in params.items()
    }
    return {"after": after, "slots": slots}


def clipping() -> list[dict]:
    out = []
    generator = torch.Generator().manual_seed(11)
    for scale, max_norm in [(1.0, 1.0), (1.0, 100.0), (1e-3, 1.0), (1e4, 0.5), (0.0, 1.0), (1e-7, 1e-7)]:
        tensors = {n: torch.randn(s, generator=generator) * scale for n, s in SHAPES.items()}
        params = [torch.zeros_like(t).requires_grad_() for t in tensors.values()]
        for p, t in zip(params, tensors.values(), strict=True):
            p.grad = t.clone()
        norm = torch.nn.utils.clip_grad_norm_(params, max_norm, foreach=False)
        out.append({
            "maxNorm": max_norm, "norm": norm.item(), "gradients": {n: t.flatten().tolist() for n, t in tensors.items()},
            "clipped": {n: p.grad.flatten().tolist() for n, p in zip(tensors, params, strict=True)},
        })  # fmt: skip
    return out


def schedules() -> list[dict]:
    """learningRates[i] is the rate of step i + 1; the last entry is what a step beyond the end would get."""
    out = []
    for name in ("constant", "constant_with_warmup", "linear", "cosine"):
        for warmup, total in [(0, 20), (4, 20), (1, 7), (20, 20), (10, 100)]:
            if name == "constant" and warmup:
                continue
            optimizer = torch.optim.SGD([torch.zeros(1).requires_grad_()], lr=3e-4)
            scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total)
            rates = []
            for _ in range(total + 1):
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
            out.append({"schedule": name, "peak": 3e-4, "warmupSteps": warmup, "totalSteps": total, "learningRates": rates})
    return out


def decay(base: Path) -> dict:
    """Which parameters of a Llama with biases transformers' Trainer decays."""
    model = LlamaForCausalLM.from_pretrained(base)
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    names = [name for name, _ in model.named_parameters()]
    return {"decayed": [n for n in names if n in decayed], "notDecayed": [n for n in names if n not in decayed]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = fresh_folder("optim")
    initial, gradients = make_problem()
    golden = {
        "versions": versions("torch", "transformers", "lion-pytorch"), "shapes": {n: list(s) for n, s in SHAPES.items()},
        "initial": {n: t.flatten().tolist() for n, t in initial.items()},
        "gradients": {n: t.flatten(1).tolist() for n, t in gradients.items()},
    }  # fmt: skip
    golden["runs"] = {
        name: {"settings": settings, **{d: run(settings, initial, gradients, t) for d, t in DTYPES.items()}}
        for name, settings in RUNS.items()
    }
    golden |= {"clipping": clipping(), "schedules": schedules(), "decay": decay(DATA / "llama-bias")}
    write_json(folder / "golden.json", golden)
