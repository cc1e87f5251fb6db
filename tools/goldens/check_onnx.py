"""Checks ONNX files that ft exported: onnx.checker with shape inference, then greedy tokens of onnxruntime over the cache.

    check_onnx.py FOLDER [TOKEN_IDS]      FOLDER holds onnx/model*.onnx; TOKEN_IDS is a list such as 5,17,80
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

folder = Path(sys.argv[1])
prompt = [int(i) for i in (sys.argv[2] if len(sys.argv) > 2 else "5,17,80,33,2").split(",")]
halves = {"tensor(float16)": np.float16, "tensor(float)": np.float32}

for path in sorted((folder / "onnx").glob("*.onnx")):
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    opsets = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    data = sorted({e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"})
    print(f"{path.name}: valid; IR {model.ir_version}, {opsets}, {len(model.graph.node)} nodes, data in {data}")
    logits = next(o for o in inferred.graph.output if o.name == "logits")
    print("  logits", [d.dim_param or d.dim_value for d in logits.type.tensor_type.shape.dim])

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    cache = {
        i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), halves[i.type])
        for i in session.get_inputs()
        if i.name.startswith("past_key_values.")
    }
    names = [o.name for o in session.get_outputs()]
    ids, seen, answer = prompt, 0, []
    for _ in range(16):
        feeds = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, seen + len(ids)), np.int64),
            "position_ids": np.arange(seen, seen + len(ids), dtype=np.int64)[None],
        }
        out = dict(zip(names, session.run(names, feeds | cache)))
        cache = {name: out[name.replace("past_key_values", "present")] for name in cache}
        seen += len(ids)
        ids = [int(out["logits"][0, -1].argmax())]
        answer += ids
    print("  greedy", answer)
