"""MediaPipe's graphs out of their parts, and the turned squares in which they read."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Region:
    """A turned square in a picture, in its pixels; turn in radians, clockwise."""

    x: float
    y: float
    side: float
    turn: float

    def rect(self, width: int, height: int) -> Any:
        """As MediaPipe has it, in parts of the picture's size."""
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        return NormalizedRect(
            x_center=self.x / width,
            y_center=self.y / height,
            width=self.side / width,
            height=self.side / height,
            rotation=self.turn,
        )

    @classmethod
    def of(cls, rect: Any, width: int, height: int) -> Region:
        """Undo `rect`."""
        return cls(rect.x_center * width, rect.y_center * height, rect.width * width, rect.rotation)


# The modules of calculators whose options a text may name: known to protobuf once imported.
_CALCULATORS = (
    "core.split_vector_calculator_pb2",
    "tensor.image_to_tensor_calculator_pb2",
    "tensor.inference_calculator_pb2",
    "tensor.tensors_to_landmarks_calculator_pb2",
)


def open_graph(text: str, *, floats: Sequence[str] = (), **side_inputs: bool | int) -> Any:
    """A graph that runs.

    Args:
        text: Its nodes by the names in mediapipe/modules.
        floats: Output streams that are numbers; of those of modules the type is known.
        side_inputs: By their names in the text.
    """
    from google.protobuf import text_format
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python.solution_base import PacketDataType, SolutionBase

    for name in _CALCULATORS:
        importlib.import_module(f"mediapipe.calculators.{name}")
    config = text_format.Parse(text, CalculatorGraphConfig())
    types = {
        stream: PacketDataType.FLOAT if stream in floats else PacketDataType.PROTO
        for stream in config.output_stream
    }
    return SolutionBase(
        graph_config=config,
        side_inputs=side_inputs,
        outputs=list(types) if floats else None,
        stream_type_hints=types if floats else None,
    )
