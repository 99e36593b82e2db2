"""MediaPipe's `.task` files put together from the models inside its wheel.

A `.task` file is a zip of networks. The wheel's own do the same as the published ones but for the
face, whose 468 points here become 478 by standing a point of the eyelid in for each iris.
"""

from pathlib import Path

MODELS = {
    "pose_landmarker_full.task": {
        "pose_detector.tflite": ("pose_detection/pose_detection.tflite", 127.5, 127.5),
        "pose_landmarks_detector.tflite": ("pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
    },
    "hand_landmarker.task": {
        "hand_detector.tflite": ("palm_detection/palm_detection_full.tflite", 0.0, 255.0),
        "hand_landmarks_detector.tflite": ("hand_landmark/hand_landmark_full.tflite", 0.0, 255.0),
    },
    "face_landmarker.task": {
        "face_detector.tflite": (
            "face_detection/face_detection_short_range.tflite", 127.5, 127.5,
        ),
        "face_landmarks_detector.tflite": ("face_landmark/face_landmark.tflite", 0.0, 255.0),
    },
}  # fmt: skip
"""The network, and what is taken from and by what is divided each of its input's 0..255."""
MESH, WITH_IRISES = 468, 478
IRISES = (159,) * 5 + (386,) * 5  # the middle of the right and of the left upper lid


def assemble(folder: Path) -> None:
    """Write the three files."""
    import mediapipe
    from mediapipe.tasks.python.metadata.metadata_writers import (
        metadata_writer,
        model_asset_bundle_utils,
    )

    modules = Path(mediapipe.__file__).parent / "modules"
    for name, networks in MODELS.items():
        parts = {}
        for part, (path, mean, spread) in networks.items():
            network = (modules / path).read_bytes()
            if part == "face_landmarks_detector.tflite":
                network = with_irises(network)
            writer = metadata_writer.MetadataWriter.create(bytearray(network))
            parts[part] = writer.add_image_input([mean], [spread]).populate()[0]
        model_asset_bundle_utils.create_model_asset_bundle(parts, str(folder / name))


def with_irises(network: bytes) -> bytes:
    """The face network with ten more points behind its 468: a GATHER after its output."""
    import flatbuffers
    import numpy as np
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(network, 0))
    graph = model.subgraphs[0]
    mesh = next(i for i in graph.outputs if graph.tensors[i].shape[-1] == 3 * MESH)
    points = (*range(MESH), *IRISES)
    order = np.array([3 * point + axis for point in points for axis in range(3)], np.int32)

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(order.tobytes(), np.uint8)
    model.buffers.append(buffer)
    indices, output = schema.TensorT(), schema.TensorT()
    indices.name, indices.shape, indices.type = b"order", [len(order)], schema.TensorType.INT32
    indices.buffer = len(model.buffers) - 1
    output.name, output.shape = b"mesh_with_irises", [1, 1, 1, 3 * WITH_IRISES]
    output.type = schema.TensorType.FLOAT32
    graph.tensors += [indices, output]

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.GATHER
    code.version = 1
    model.operatorCodes.append(code)
    gather, options = schema.OperatorT(), schema.GatherOptionsT()
    options.axis = 3
    gather.opcodeIndex = len(model.operatorCodes) - 1
    gather.inputs, gather.outputs = [mesh, len(graph.tensors) - 2], [len(graph.tensors) - 1]
    gather.builtinOptionsType = schema.BuiltinOptions.GatherOptions
    gather.builtinOptions = options
    graph.operators.append(gather)
    graph.outputs = [len(graph.tensors) - 1 if i == mesh else i for i in graph.outputs]

    builder = flatbuffers.Builder(len(network))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
