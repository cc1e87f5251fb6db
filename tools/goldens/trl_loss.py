"""The loss and gradient norm that TRL's SFTTrainer reports for the rows of llama-gqa: at once, accumulated, and packed.

    python trl_loss.py        writes data/trl/golden.json; needs data/llama-gqa
"""

import json
import tempfile
from pathlib import Path

from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from common import DATA, fresh_folder, versions, write_json
from llama import IGNORED, load

RUNS = {
    "3x1": dict(batch=3, accumulation=1, padding_free=False),
    "1x3": dict(batch=1, accumulation=3, padding_free=False),
    "packed": dict(batch=3, accumulation=1, padding_free=True),
}


def rows_of(golden: dict) -> list[dict]:
    """input_ids and labels as TRL prepares them: a label stands at the token itself, not at the one before."""
    batch, rows = golden["packed"], []
    for segment in range(1, max(batch["segments"]) + 1):
        at = [i for i, s in enumerate(batch["segments"]) if s == segment]
        rows.append({"input_ids": [batch["tokens"][i] for i in at], "labels": [IGNORED, *(batch["targets"][i] for i in at[:-1])]})
    return rows


def run(base: Path, rows: list[dict], batch: int, accumulation: int, padding_free: bool, scratch: str) -> dict:
    """One step with learning rate 0."""
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, "<unk>")), eos_token="<unk>", pad_token="<unk>")
    config = SFTConfig(
        output_dir=scratch, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, max_steps=1, learning_rate=0.0,
        logging_steps=1, logging_nan_inf_filter=False, max_grad_norm=1e9, report_to="none", save_strategy="no", use_cpu=True, bf16=False,
        gradient_checkpointing=False, optim="adamw_torch", max_length=None, disable_tqdm=True, model_init_kwargs=None,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=load(base), args=config, train_dataset=Dataset.from_list(rows), processing_class=words,
        data_collator=DataCollatorForLanguageModeling(pad_token_id=0, padding_free=padding_free),
    )  # fmt: skip
    trainer.train()
    log = next(entry for entry in trainer.state.log_history if "grad_norm" in entry)
    return {"loss": log["loss"], "gradNorm": float(log["grad_norm"])}


def main() -> None:
    base = DATA / "llama-gqa"
    golden = json.loads((base / "golden.json").read_text())
    rows = rows_of(golden)
    with tempfile.TemporaryDirectory() as scratch:
        runs = {name: run(base, rows, **settings, scratch=scratch) for name, settings in RUNS.items()}
    for name, found in runs.items():
        print(name, found, "golden", golden["loss"]["mean"], golden["full"]["gradNorms"][0])
    write_json(fresh_folder("trl") / "golden.json", {"versions": versions("torch", "transformers", "trl", "datasets"), "rows": rows, "runs": runs})


if __name__ == "__main__":
    disable_progress_bar()
    main()
