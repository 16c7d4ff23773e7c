"""What lies in the `assets.extra` of a SavedModel: its seal, and requests to warm it up.

The seal has the digest of each file, so that damage is told by the file's name: what TensorFlow
writes has none that it checks before it loads, and a damaged file may load. (Checkpoints have
digests of their own, see `models.storage.archive`.)
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from models.tables.backend import tf

SEAL = Path("assets.extra") / "sha256.json"


def close(folder: Path) -> None:
    """Writes the digests of all files that are in the folder now."""
    path = folder / SEAL
    path.parent.mkdir(exist_ok=True)
    digests = {name: _digest(folder / name) for name in _files(folder)}
    path.write_text(json.dumps(digests, indent=1))


def check(folder: Path) -> None:
    """Raises CorruptCheckpoint, with the name of a file, unless the files are those that were sealed."""
    path = folder / SEAL
    try:
        sealed = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise CorruptCheckpoint(f"{path.relative_to(folder)} is missing in {folder}") from None
    except (OSError, ValueError, TypeError):
        raise CorruptCheckpoint(f"{path.relative_to(folder)} in {folder} cannot be read") from None
    for name, digest in sealed.items():
        try:
            found = _digest(folder / name)
        except OSError:
            raise CorruptCheckpoint(f"{name} is missing in {folder}") from None
        if found != digest:
            raise CorruptCheckpoint(f"{name} in {folder} is not what was written")
    for name in _files(folder):
        if name not in sealed:
            raise CorruptCheckpoint(f"{name} in {folder} is not what was written")


def _files(folder: Path) -> list[str]:
    """All files but the seal, relative to the folder."""
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [name.as_posix() for name in names if name != SEAL]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


REQUESTS = Path("assets.extra") / "tf_serving_warmup_requests"
MODEL = "recommender"


def write_requests(
    directory: Path, endpoints: Mapping[str, "tf.types.experimental.GenericFunction"]
) -> None:
    """Writes what TensorFlow Serving asks a new version before it answers with it: one request per
    signature, of one stranger, who has chosen nothing.

    Without them the first requests after each swap pay for tracing and allocation. The file is a
    TFRecord of `tensorflow.serving.PredictionLog` messages (github.com/tensorflow/serving,
    `apis/prediction_log.proto`, `predict.proto`, `model.proto`), whose four fields are encoded here:
    the package that brings their classes would bind recloop's version of TensorFlow to its own.
    """
    from models.tables.backend import tf

    with tf.io.TFRecordWriter(str(directory / REQUESTS)) as writer:
        for name, function in endpoints.items():
            inputs = {one.name: _example(one) for one in function.input_signature}
            writer.write(request(name, inputs))


def request(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A PredictionLog of a PredictRequest, serialised."""
    from models.tables.backend import tf

    spec = _field(1, MODEL.encode()) + _field(3, signature.encode())
    entries = [
        _field(
            2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString())
        )
        for name, value in sorted(inputs.items())
    ]
    predict = _field(1, spec) + b"".join(entries)
    return _field(6, _field(1, predict))


def _example(spec: "tf.TensorSpec") -> np.ndarray:
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
