"""Warm-up requests, read by messages that protobuf builds from TF Serving's own definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.storage.seal import REQUESTS, request
from models.tables.backend import tf

pytestmark = pytest.mark.slow

FIELD = descriptor_pb2.FieldDescriptorProto


def prediction_log():  # type: ignore[no-untyped-def]
    """The class of `tensorflow.serving.PredictionLog`, of the fields that a request has."""
    from tensorflow.core.framework import tensor_pb2

    pool = descriptor_pool.DescriptorPool()
    for one in (
        "tensorflow/core/framework/types.proto",
        "tensorflow/core/framework/tensor_shape.proto",
        "tensorflow/core/framework/resource_handle.proto",
        "tensorflow/core/framework/tensor.proto",
    ):
        found = descriptor_pb2.FileDescriptorProto()
        tensor_pb2.DESCRIPTOR.pool.FindFileByName(one).CopyToProto(found)
        pool.Add(found)
    file = descriptor_pb2.FileDescriptorProto(
        name="apis.proto", package="serving", syntax="proto3",
        dependency=["tensorflow/core/framework/tensor.proto"],
    )  # fmt: skip

    def message(title: str, **fields: tuple[int, str]):  # type: ignore[no-untyped-def]
        made = file.message_type.add(name=title)
        for field, (number, kind) in fields.items():
            one = made.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
            one.type = FIELD.TYPE_STRING if kind == "string" else FIELD.TYPE_MESSAGE
            if kind != "string":
                one.type_name = kind
        return made

    message("ModelSpec", name=(1, "string"), signature_name=(3, "string"))
    predict = message(
        "PredictRequest", model_spec=(1, ".serving.ModelSpec"),
        inputs=(2, ".serving.PredictRequest.InputsEntry"),
    )  # fmt: skip
    predict.field[1].label = FIELD.LABEL_REPEATED
    entry = predict.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=FIELD.LABEL_OPTIONAL, type=FIELD.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=FIELD.LABEL_OPTIONAL, type=FIELD.TYPE_MESSAGE,
        type_name=".tensorflow.TensorProto",
    )  # fmt: skip
    message("PredictLog", request=(1, ".serving.PredictRequest"))
    message("PredictionLog", predict_log=(6, ".serving.PredictLog"))
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("serving.PredictionLog"))


def array(tensor) -> np.ndarray:  # type: ignore[no-untyped-def]
    return tf.make_ndarray(type(tf.make_tensor_proto(0)).FromString(tensor.SerializeToString()))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 40_000])
def test_a_request_reads_as_it_was_written(size: int) -> None:
    values = np.arange(size, dtype=np.int64)
    log = prediction_log().FromString(request("top_k", {"rows": values, "k": np.int32(7)}))
    asked = log.predict_log.request
    assert (asked.model_spec.name, asked.model_spec.signature_name) == ("recommender", "top_k")
    assert sorted(asked.inputs) == ["k", "rows"]
    assert array(asked.inputs["rows"]).tolist() == values.tolist()
    assert array(asked.inputs["k"]).dtype == np.int32


def test_every_signature_answers_its_warm_up_request(
    cascade: RetrieveAndRank, tmp_path: Path
) -> None:
    cascade.export(tmp_path / "1")
    model = tf.saved_model.load(str(tmp_path / "1"))
    logs = tf.data.TFRecordDataset(str(tmp_path / "1" / REQUESTS)).as_numpy_iterator()
    asked = [prediction_log().FromString(record).predict_log.request for record in logs]
    assert [one.model_spec.signature_name for one in asked] == list(model.signatures)
    for one in asked:
        inputs = {name: tf.constant(array(one.inputs[name])) for name in one.inputs}
        answer = model.signatures[one.model_spec.signature_name](**inputs)
        assert all(len(value) == 1 for value in answer.values())
