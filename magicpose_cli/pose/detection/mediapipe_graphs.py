"""MediaPipe's graphs out of their parts, and the turned squares in which they read."""

from __future__ import annotations

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


def open_graph(text: str, **side_inputs: bool | int) -> Any:
    """A graph that runs; text: its nodes by the names in mediapipe/modules."""
    # The options that the text names are known once the calculator's own module is imported.
    import mediapipe.calculators.core.split_vector_calculator_pb2  # noqa: F401
    from google.protobuf import text_format
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python.solution_base import SolutionBase

    config = text_format.Parse(text, CalculatorGraphConfig())
    return SolutionBase(graph_config=config, side_inputs=side_inputs)
