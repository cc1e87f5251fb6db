"""LoRA adapters as GGUF files, made by llama.cpp's convert_lora_to_gguf.py from golden PEFT folders.

    python tools/goldens/gguf_lora.py LLAMA_CPP      (a checkout of llama.cpp 0.5.0; the sources of llama-cpp-python 0.3.36 hold one)

Reads data/llama-{gqa,llama3-rope} with their adapter/, writes data/gguf-lora/{gqa,llama3-rope}.gguf in float32.
"""

import pathlib
import subprocess
import sys

data = pathlib.Path(__file__).parent / "data"
(data / "gguf-lora").mkdir(exist_ok=True)
for case in ("gqa", "llama3-rope"):
    base = data / f"llama-{case}"
    target = data / "gguf-lora" / f"{case}.gguf"
    command = [sys.executable, pathlib.Path(sys.argv[1]) / "convert_lora_to_gguf.py", "--base", base, "--outfile", target]
    subprocess.run([*command, base / "adapter"], check=True)
