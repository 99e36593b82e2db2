"""The average head: where the 73 points of a face are in space, how people and faces vary.

The points are the 68 iBUG face points and then the joints nose, right eye, left eye, right ear and
left ear (HEAD_JOINTS). Unit: half the distance between the jaw's ends (points 0 and 16). Axes of
the face: x to the picture's right when the face looks into the camera, y down, z away from the
camera; the origin lies between the eyes. A level face has the ears as low as the lower rims of the
eye sockets, as in anatomy (the Frankfurt plane): it has the longest lever of all that tells a nod.
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import BODY_JOINTS

HEAD_JOINTS = tuple(
    BODY_JOINTS.index(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
)
COUNT = 68 + len(HEAD_JOINTS)
NOSE, NOSE_TIP = 68, 30  # the joint; the face point at the same place
UPPER_LIP, LOWER_LIP = (61, 62, 63), (67, 66, 65)  # inner, in pairs
EYES = ((36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46))  # outer corner, over the top
# The same point on the other half of the face.
MIRROR = np.array((
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
    68, 70, 69, 72, 71,
))  # fmt: skip

# The right half and the midline: the mean of the meshes that MediaPipe saw on films and pictures of
# four people, without their head pose, made symmetric, with the mouth closed.
_RIGHT_HALF = {
    0: (-1.00, 0.09, 0.74), 1: (-0.99, 0.30, 0.78), 2: (-0.92, 0.72, 0.69),
    3: (-0.85, 0.93, 0.59), 4: (-0.75, 1.10, 0.42), 5: (-0.65, 1.20, 0.26),
    6: (-0.52, 1.30, 0.13), 7: (-0.30, 1.43, -0.08), 8: (0.0, 1.49, -0.17),
    17: (-0.84, -0.28, 0.09), 18: (-0.75, -0.38, -0.01), 19: (-0.62, -0.44, -0.10),
    20: (-0.44, -0.45, -0.18), 21: (-0.23, -0.42, -0.23), 27: (0.0, -0.13, -0.26),
    28: (0.0, 0.08, -0.42), 29: (0.0, 0.25, -0.61), 30: (0.0, 0.36, -0.66),
    31: (-0.25, 0.55, -0.32), 32: (-0.11, 0.57, -0.41), 33: (0.0, 0.57, -0.43),
    36: (-0.68, -0.01, 0.04), 37: (-0.58, -0.09, -0.05), 38: (-0.42, -0.09, -0.08),
    39: (-0.27, 0.01, -0.04), 40: (-0.41, 0.04, -0.07), 41: (-0.56, 0.04, -0.05),
    48: (-0.38, 0.89, -0.15), 49: (-0.30, 0.80, -0.31), 50: (-0.12, 0.73, -0.45),
    51: (0.0, 0.75, -0.46), 57: (0.0, 1.01, -0.35), 58: (-0.12, 1.00, -0.34),
    59: (-0.30, 0.94, -0.25), 60: (-0.34, 0.88, -0.18), 61: (-0.18, 0.85, -0.34),
    62: (0.0, 0.86, -0.36), 66: (0.0, 0.86, -0.36), 67: (-0.18, 0.86, -0.31),
    68: (0.0, 0.36, -0.66), 69: (-0.49, -0.01, -0.04), 71: (-1.00, 0.29, 0.80),
}  # fmt: skip

# Points that differ between people together; how much neutral faces differ from the average there
# (x, y, z), and how far a point then moves with the expression or misses its place: standard
# deviations.
_SPREADS = (
    ((0, 1, 2, 14, 15, 16), (0.02, 0.05, 0.08), 0.02),  # where the jaw meets the ears
    ((3, 4, 5, 11, 12, 13), (0.08, 0.10, 0.10), 0.04),
    ((6, 7, 8, 9, 10), (0.06, 0.17, 0.12), 0.10),  # chin
    (range(17, 27), (0.05, 0.08, 0.06), 0.06),  # brows
    ((27, 28), (0.02, 0.04, 0.06), 0.015),  # nose: its length varies, its middle hardly
    ((*range(29, 36), NOSE), (0.025, 0.08, 0.06), 0.02),
    ((36, 39, 42, 45), (0.04, 0.03, 0.05), 0.015),  # eye corners
    ((37, 38, 40, 41, 43, 44, 46, 47), (0.04, 0.04, 0.05), 0.03),  # lids
    (range(48, 68), (0.06, 0.12, 0.08), 0.08),  # mouth
    ((69, 70), (0.04, 0.03, 0.05), 0.03),  # eyes: the gaze moves some detectors' points
    ((71, 72), (0.04, 0.06, 0.10), 0.03),  # ears
)
# Where the points go, downward, as the mouth opens by one unit between the inner lips: the lower
# jaw turns about the ears and takes the lower lip along, the upper lip rises a little.
_OPENING_Y = {
    **{k: 0.6 * np.sin(np.pi * k / 16) ** 4 for k in range(17)},
    **dict.fromkeys((48, 54, 60, 64), 0.25),
    **dict.fromkeys((49, 53), -0.1),
    **dict.fromkeys((50, 51, 52, *UPPER_LIP), -0.25),
    **dict.fromkeys((55, 59), 0.55),
    **dict.fromkeys((56, 57, 58, *LOWER_LIP), 0.75),
}


def _average() -> Floats:
    shape = np.zeros((COUNT, 3))
    for index, place in _RIGHT_HALF.items():
        shape[index] = place
        shape[MIRROR[index]] = np.multiply(place, (-1, 1, 1))
    return shape


def _spread() -> tuple[Floats, Floats, Floats]:
    people, motion = np.zeros((COUNT, 3)), np.zeros(COUNT)
    together = np.zeros((COUNT, 3))
    for indices, between_people, moving in _SPREADS:
        group = list(indices)
        people[group], motion[group] = between_people, moving
        together[group] = np.multiply(between_people, (1.0, np.sqrt(len(group)), 1.0))
    return people, together, motion


def _opening() -> Floats:
    opening = np.zeros((COUNT, 3))
    opening[list(_OPENING_Y), 1] = list(_OPENING_Y.values())
    return opening


AVERAGE = _average()  # (73, 3)
# (73, 3), (73, 3), (73,). For a whole face at once, which a long nose or chin must not make nod,
# the points of a group count as one along y: that is TOGETHER.
BETWEEN_PEOPLE, TOGETHER, IN_MOTION = _spread()
OPENING = _opening()  # (73, 3) for each unit between the inner lips
