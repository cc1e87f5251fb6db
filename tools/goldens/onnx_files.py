"""data/onnx/: a small model as onnx writes it, byte for byte, and what onnxruntime's quantisers make of a few matrices."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from onnxruntime.capi._pybind_state import quantize_matmul_4bits
from onnxruntime.quantization.quant_utils import quantize_data

from common import fresh_folder, versions, write_json, write_tensors

BLOCK = 32


def model() -> bytes:
    """Every kind of field that an export has: attributes, named sizes, a constant, external data, another domain."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=[300, 2**20])
    for key, value in {"location": "m.onnx_data", "offset": "8192", "length": str(600 * 2**20)}.items():
        weight.external_data.add(key=key, value=value)
    weight.data_location = TensorProto.EXTERNAL
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], np.array([0, -1, 7], np.int64).tobytes(), raw=True)
    one = helper.make_tensor("one", TensorProto.FLOAT, [], np.float32(1).tobytes(), raw=True)
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["y"], "reshape"),
        helper.make_node("Clip", ["y", "", "one"], ["z"], "clip"),
        helper.make_node("Thing", ["z", "w"], ["a", "b"], "thing", domain="com.microsoft"),
    ]
    attributes = {"axis": -1, "perm": [0, 2, 1], "alpha": 0.1, "big": 2**40}
    nodes[2].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch_size", 4])],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch_size", "é", 1536])],
        [shape, one, weight],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, producer_name="ft", opset_imports=opsets, ir_version=8)
    return made.SerializeToString(deterministic=True)


def matrices() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    normal = torch.randn(24, 160, generator=generator)
    normal[3] = 0  # rows and blocks of zeros
    normal[4, 32:64] = 0
    normal[5, 64:96] = torch.arange(-16, 16) / 2  # halves, on the bounds between codes
    normal[6, :32] = -normal[6, :32].abs()
    ragged = torch.randn(7, 77, generator=generator) * 0.02
    return {"normal": normal, "ragged": ragged}


def main() -> None:
    folder = fresh_folder("onnx")
    (folder / "model.bin").write_bytes(model())
    tensors = {}
    for name, x in matrices().items():
        out, inner = x.shape
        blocks = -(-inner // BLOCK)
        codes = np.zeros((out, blocks, BLOCK // 2), np.uint8)
        scales = np.zeros(out * blocks, np.float32)
        quantize_matmul_4bits(codes, np.ascontiguousarray(x.numpy().T), scales, np.zeros(0, np.uint8), BLOCK, out, inner, True)
        eight = [quantize_data(row, TensorProto.INT8, symmetric=True) for row in x.numpy()]
        tensors[name] = x
        tensors[f"{name}.q4"] = torch.from_numpy(codes)
        tensors[f"{name}.q4.scale"] = torch.from_numpy(scales)
        tensors[f"{name}.int8"] = torch.from_numpy(np.stack([row[-1] for row in eight]))
        tensors[f"{name}.int8.scale"] = torch.tensor([float(np.asarray(row[-2]).ravel()[0]) for row in eight])
    write_tensors(folder / "quant.safetensors", tensors)
    write_json(folder / "golden.json", {"versions": versions("onnx", "onnxruntime", "numpy", "torch")})


if __name__ == "__main__":
    main()
