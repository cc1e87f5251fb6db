"""Shared by the golden generators: versions, folders, writing."""

import json
import platform
import shutil
from importlib import metadata
from pathlib import Path

import torch
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parent / "data"


def versions(*packages: str) -> dict[str, str]:
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def fresh_folder(name: str) -> Path:
    """An empty data/<name>/; whatever an earlier run left there is gone."""
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, path)


def write_json(path: Path, value: dict) -> None:
    """One top-level key a line: long number lists stay on one line, and a change shows as one line in a diff."""
    lines = (f"{json.dumps(key)}: {json.dumps(item, ensure_ascii=False, allow_nan=False)}" for key, item in value.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
