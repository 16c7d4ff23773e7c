"""Warm-up requests: what TensorFlow Serving asks a new version before it answers with it.

Without them the first requests after each swap pay for tracing and allocation. The file is a TFRecord
of `tensorflow.serving.PredictionLog` messages (github.com/tensorflow/serving,
`apis/prediction_log.proto`, `apis/predict.proto`, `apis/model.proto`). Their four fields are encoded
here: the package that brings the messages' classes would bind recloop's version of TensorFlow to its
own, for some twenty bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.tables.backend import tf

REQUESTS = Path("assets.extra") / "tf_serving_warmup_requests"
MODEL = "recommender"


def write(
    directory: Path, endpoints: Mapping[str, "tf.types.experimental.GenericFunction"]
) -> None:
    """Writes one request per signature: one stranger, who has chosen nothing."""
    with tf.io.TFRecordWriter(str(directory / REQUESTS)) as writer:
        for name, function in endpoints.items():
            inputs = {one.name: _example(one) for one in function.input_signature}
            writer.write(request(name, inputs))


def request(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A PredictionLog of a PredictRequest, serialised."""
    spec = _field(1, MODEL.encode()) + _field(3, signature.encode())
    entries = [
        _field(
            2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString())
        )
        for name, value in sorted(inputs.items())
    ]
    predict = _field(1, spec) + b"".join(entries)
    return _field(6, _field(1, predict))


def _example(spec: tf.TensorSpec) -> np.ndarray:
    """Zeros: one query, a list of one; of k, 10."""
    if spec.name == "k":
        return np.array(10, np.int32)
    shape = [1 if size is None else size for size in spec.shape.as_list()]
    return np.zeros(shape, spec.dtype.as_numpy_dtype)


def _field(number: int, payload: bytes) -> bytes:
    """A field of bytes in protobuf's wire format: tag, length, payload."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
