"""A worker: a process somewhere that holds the model and makes batches of frames."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Literal

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import MagicPoseError


@dataclass(frozen=True)
class Reply:
    """What became of a task.

    It is "done" with its value, "refused" with a MagicPoseError, "failed" with the traceback of a
    bug, or "lost" with its worker.
    """

    kind: Literal["done", "refused", "failed", "lost"]
    value: Any = None


class Worker:
    """Loads the model when the first reference comes, and draws batches.

    The reference and the seed decide the noise, so nothing has to travel but batches and frames.
    """

    def __init__(self, threads: int = 0):
        self._threads = threads
        self._renderer: Any = None

    def do(self, task: str, *arguments: Any) -> Reply:
        """Run one of the tasks below; never raises."""
        try:
            return Reply("done", getattr(self, task)(*arguments))
        except MagicPoseError as error:
            return Reply("refused", error)
        except BaseException:  # noqa: BLE001 - it is told to the parent, which raises it
            return Reply("failed", traceback.format_exc())

    def set_reference(
        self,
        reference: Picture,
        preset: Preset,
        frames: int,
        face: Picture | None = None,
        own_map: Picture | None = None,
    ) -> int:
        """Take a reference; returns how many frames a batch may have here."""
        import torch

        from magicpose_cli.rendering.local import LocalRenderer

        if self._threads:
            torch.set_num_threads(self._threads)
        if self._renderer is None:
            self._renderer = LocalRenderer(preset)
        size: int = self._renderer.set_reference(reference, preset, frames, face, own_map)
        return size

    def make(self, maps: Pictures) -> tuple[Pictures, list[str]]:
        """Draw frames as `Renderer.make` does; also what the user should know."""
        [frames] = self._renderer.render([maps])
        return frames, list(self._renderer.notes)
