"""A detector of your own: whoever is cut by the edge of the picture is not seen.

    python detector.py animate me.jpg dance.mp4 --detector inside

It is one class with `detect` and `close`, and one line in the table of detectors. This one asks a
built-in detector and leaves people out; yours may ask any network.
"""

import numpy as np

from magicpose_cli.cli import main
from magicpose_cli.pose.detection.detect import DETECTORS, Backend, box_of, load_detector
from magicpose_cli.pose.keypoints import Pose


class Inside:
    """Everybody that the built-in detector finds whole."""

    def __init__(self, still: bool = False):
        self._everybody = load_detector("auto", still=still)

    def detect(self, frame: np.ndarray) -> list[Pose]:
        """Everybody in `frame`, (H, W, 3) uint8 RGB, in its pixels, the largest first."""
        width = frame.shape[1]
        people = [(pose, box_of(pose)) for pose in self._everybody.detect(frame)]
        return [pose for pose, (left, _, right, _) in people if left > 0 and right < width - 1]

    def close(self) -> None:
        self._everybody.close()


if __name__ == "__main__":
    # The place is looked up by name, so that detectors are imported only where they are used.
    DETECTORS["inside"] = Backend("__main__:Inside", needs=(), install="", automatic=False)
    main()
