"""Writes ONNX with protobuf alone: the package onnx is large, and slow to import.

The messages have the names and field numbers of onnx.proto, as far as our graphs need them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessages

FIELDS = {  # number and type of each; in a list: repeated
    "ModelProto": {
        "ir_version": (1, int), "producer_name": (2, str), "graph": (7, "GraphProto"),
        "opset_import": (8, ["OperatorSetIdProto"]), "metadata_props": (14, ["StringStringEntryProto"]),
    },
    "OperatorSetIdProto": {"version": (2, int)},
    "StringStringEntryProto": {"key": (1, str), "value": (2, str)},
    "GraphProto": {
        "node": (1, ["NodeProto"]), "name": (2, str), "initializer": (5, ["TensorProto"]),
        "input": (11, ["ValueInfoProto"]), "output": (12, ["ValueInfoProto"]),
    },
    "NodeProto": {"input": (1, [str]), "output": (2, [str]), "op_type": (4, str), "attribute": (5, ["AttributeProto"])},
    "AttributeProto": {
        "name": (1, str), "f": (2, float), "i": (3, int), "s": (4, str), "ints": (8, [int]), "type": (20, int),
    },
    "TensorProto": {"dims": (1, [int]), "data_type": (2, int), "name": (8, str), "raw_data": (9, bytes)},
    "ValueInfoProto": {"name": (1, str), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "Tensor")},
    "Tensor": {"elem_type": (1, int), "shape": (2, "TensorShapeProto")},
    "TensorShapeProto": {"dim": (1, ["Dimension"])},
    "Dimension": {"dim_value": (1, int), "dim_param": (2, str)},
}  # fmt: skip
TYPES = {int: Field.TYPE_INT64, float: Field.TYPE_FLOAT, str: Field.TYPE_STRING, bytes: Field.TYPE_BYTES}
ATTRIBUTES = {float: ("f", 1), int: ("i", 2), str: ("s", 3), list: ("ints", 7)}  # field, and AttributeType
FLOAT, FLOAT16 = 1, 10
DATA_TYPES = {"float32": FLOAT, "uint8": 2, "int8": 3, "int64": 7, "float16": FLOAT16}


def _messages() -> dict[str, type]:
    file = FileDescriptorProto(name="onnx")
    for message, fields in FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = Field.LABEL_REPEATED if isinstance(kind, list) else Field.LABEL_OPTIONAL
            (kind,) = kind if isinstance(kind, list) else [kind]
            known = {"type": TYPES[kind]} if kind in TYPES else {"type_name": f".{kind}"}
            descriptor.field.add(name=name, number=number, label=label, **known)
    return GetMessages([file], pool=DescriptorPool())  # not the default pool, to which the package onnx adds its own


ModelProto, NodeProto, TensorProto, ValueInfoProto = map(
    _messages().get, ("ModelProto", "NodeProto", "TensorProto", "ValueInfoProto")
)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: float | str | list[int]) -> NodeProto:
    """An operation, named as in ONNX's list of operators, on named values."""
    result = NodeProto(op_type=kind, input=inputs, output=outputs)
    for name, value in attributes.items():
        field, number = ATTRIBUTES[type(value)]
        result.attribute.add(name=name, type=number, **{field: value})
    return result


def tensor(name: str, value: np.ndarray) -> TensorProto:
    """A constant of a graph, of any shape and a type in `DATA_TYPES`."""
    return TensorProto(name=name, dims=value.shape, data_type=DATA_TYPES[value.dtype.name], raw_data=value.tobytes())


def array(constant: TensorProto) -> np.ndarray:
    """The values of a constant that `tensor` made, read-only."""
    (dtype,) = (name for name, number in DATA_TYPES.items() if number == constant.data_type)
    return np.frombuffer(constant.raw_data, dtype).reshape(constant.dims)


def float_value(name: str, *shape: int | str) -> ValueInfoProto:
    """A float32 input or output of a graph; sizes that may vary have names."""
    sizes = [{"dim_param" if isinstance(size, str) else "dim_value": size} for size in shape]
    return ValueInfoProto(name=name, type={"tensor_type": {"elem_type": FLOAT, "shape": {"dim": sizes}}})


def set_metadata(model: ModelProto, texts: Mapping[str, str]) -> None:
    """Replaces the metadata of a model."""
    del model.metadata_props[:]
    for key, value in texts.items():
        model.metadata_props.add(key=key, value=value)
