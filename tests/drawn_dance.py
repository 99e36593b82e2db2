"""A dance of drawn people, as numbers."""

import math

import torch

from magicpose_cli.arrays import Floats
from magicpose_cli.synthetic.people import DrawnMotion


def dance(seconds: Floats, calm: bool = False) -> DrawnMotion:
    """A dance: arms, elbows, hips, head and mouth swing at beats of one second."""
    t = torch.tensor(seconds, dtype=torch.float32) * math.pi
    n, zero = len(t), torch.zeros(len(t))
    swing = 0.0 if calm else 1.0
    up = 0.5 - 0.5 * t.cos()
    return DrawnMotion(
        shift=torch.stack([0.03 * (t * 0.5).sin(), 0.008 * t.sin()], 1) * swing,
        lean=0.07 * (t * 0.5).sin() * swing,
        turn=0.25 * (t * 0.5).sin() * swing,
        arm=torch.stack([0.25 + 1.3 * up * swing, 0.25 + 1.3 * (1 - up) * swing], 1),
        elbow=torch.stack([0.1 + 1.2 * up * swing, 0.1 + 1.2 * (1 - up) * swing], 1),
        arm_depth=torch.ones(n, 2, 2),
        arm_in_front=torch.ones(n, 2, dtype=torch.bool),
        leg=torch.full((n, 2), 0.08),
        knee=torch.zeros(n, 2),
        leg_depth=torch.ones(n, 2, 2),
        head_turn=0.3 * (t * 0.5).cos() * swing,
        head_nod=zero,
        head_tilt=0.1 * t.sin() * swing,
        brow=zero,
        eye_open=zero + 0.85,
        gaze=torch.zeros(n, 2),
        mouth_open=0.4 * up * swing,
        smile=zero + 0.6,
        curl=torch.full((n, 2), 0.15),
        spread=torch.full((n, 2), 0.9),
    )
