"""Computes the joints of a walking person."""

import math
from dataclasses import dataclass

from .canvas import Point
from .ring_surfaces import Ring
from .wardrobe import Build

SIDES = (-1, 1)  # the person's right and left

THIGH, SHIN, ANKLE_HEIGHT = 0.245, 0.235, 0.045
TORSO, NECK = 0.315, 0.075
UPPER_ARM, FOREARM, HAND = 0.165, 0.14, 0.05
LEAN = 0.035


@dataclass(frozen=True)
class Pose:
    """The pose of a person relative to the viewer and the light; angles in radians.

    `phase` is the position in the walking cycle (0 .. 2 pi). `orientation` is the heading: 0 faces
    the viewer, pi/2 walks to the viewer's right, pi shows the back. `stride` is the swing of the
    thighs, `swing` the swing of the arms. `elevation` is the angle at which the viewer looks down.
    `light` is the side of the light (-1 left .. 1 right). `gaze` is the turn of the head.
    """

    phase: float = 0.6
    orientation: float = 0.0
    stride: float = 0.4
    swing: float = 0.4
    elevation: float = 0.15
    light: float = 0.6
    gaze: float = 0.0


@dataclass(frozen=True)
class Leg:
    """The joints of one leg with the heel and the toe of its shoe."""

    hip: Point
    knee: Point
    ankle: Point
    heel: Point
    toe: Point


@dataclass(frozen=True)
class Arm:
    """The joints of one arm."""

    shoulder: Point
    elbow: Point
    wrist: Point
    hand: Point


@dataclass(frozen=True)
class Skeleton:
    """All joints of a person in a pose; the keys of `legs` and `arms` are SIDES."""

    build: Build
    legs: dict[int, Leg]
    arms: dict[int, Arm]
    hip_height: float
    head: Point

    def torso_point(self, share: float) -> tuple[float, float]:
        """Returns height and forward shift at a share of the torso (0 hips, 1 base of the neck)."""
        rise = share * TORSO * self.build.height
        return self.hip_height + rise, max(rise, 0.0) * LEAN

    def torso_ring(self, share: float, width: float, depth: float) -> Ring:
        """Returns a ring at a share of the torso; `build` scales its width and depth."""
        y, z = self.torso_point(share)
        size = self.build.height
        return Ring(y, width * size * self.build.breadth, depth * size * self.build.girth, 0.0, z)

    def leg_spread(self, y: float) -> tuple[float, float]:
        """Returns the middle and half distance of the legs in z at a height above the ankles."""
        depths = []
        for leg in self.legs.values():
            upper, lower = (leg.hip, leg.knee) if y > leg.knee[1] else (leg.knee, leg.ankle)
            share = (upper[1] - y) / (upper[1] - lower[1])
            depths.append(upper[2] + min(max(share, 0.0), 1.0) * (lower[2] - upper[2]))
        return sum(depths) / 2, abs(depths[0] - depths[1]) / 2


def make_skeleton(build: Build, pose: Pose) -> Skeleton:
    """Returns the joints of a person of this build in this pose."""
    size = build.height
    hanging = {side: _leg(build, pose, side) for side in SIDES}
    # The lower shoe stands on the ground, which determines the height of the hips.
    hip_height = -min(min(leg.heel[1], leg.toe[1]) for leg in hanging.values()) + 0.018 * size
    legs = {side: _raised(leg, hip_height) for side, leg in hanging.items()}
    neck_height = hip_height + TORSO * size
    head = (0.0, neck_height + NECK * size + 0.01, TORSO * size * LEAN + 0.016)
    arms = {side: _arm(build, pose, side, neck_height) for side in SIDES}
    return Skeleton(build, legs, arms, hip_height, head)


def _step(start: Point, angle: float, length: float, outward: float = 0.0) -> Point:
    """Returns the far end of a hanging bone that swings forward by an angle."""
    x, y, z = start
    return x + outward, y - length * math.cos(angle), z + length * math.sin(angle)


def _leg(build: Build, pose: Pose, side: int) -> Leg:
    """Returns one leg that hangs from hips at height 0."""
    phase = pose.phase if side > 0 else pose.phase + math.pi
    effort = pose.stride / 0.45
    thigh = pose.stride * math.sin(phase) + 0.06
    shin = thigh - 0.08 - effort * 0.95 * max(0.0, math.cos(phase + 0.5))
    foot = effort * (0.3 * max(0.0, math.sin(phase)) - 0.6 * max(0.0, math.cos(phase + 0.9)))
    size = build.height
    hip = (side * 0.05 * size * build.hips, 0.0, 0.0)
    knee = _step(hip, thigh, THIGH * size * build.legs, -side * 0.006)
    ankle = _step(knee, shin, SHIN * size * build.legs, -side * 0.004)
    below = _step(ankle, foot, (ANKLE_HEIGHT - 0.018) * size)
    along = (math.cos(foot) * size, math.sin(foot) * size)
    heel = (below[0], below[1] - 0.022 * along[1], below[2] - 0.022 * along[0])
    toe = (below[0] + side * 0.018, below[1] + 0.1 * along[1], below[2] + 0.1 * along[0])
    return Leg(hip, knee, ankle, heel, toe)


def _raised(leg: Leg, height: float) -> Leg:
    points = (leg.hip, leg.knee, leg.ankle, leg.heel, leg.toe)
    return Leg(*((x, y + height, z) for x, y, z in points))


def _arm(build: Build, pose: Pose, side: int, neck_height: float) -> Arm:
    size = build.height
    phase = pose.phase if side > 0 else pose.phase + math.pi
    swing = -pose.swing * math.sin(phase)
    bend = 0.2 + 0.5 * pose.swing + 0.6 * max(0.0, swing)
    shoulder = (
        side * 0.100 * size * build.breadth,
        neck_height - 0.046 * size,
        TORSO * size * LEAN + 0.05 * swing,
    )
    outward = side * (0.012 + 0.014 * build.girth)
    elbow = _step(shoulder, swing - 0.08, UPPER_ARM * size, outward)
    wrist = _step(elbow, swing - 0.08 + bend, FOREARM * size, -side * 0.004)
    hand = _step(wrist, swing + bend, HAND * size * 0.6, -side * 0.004)
    return Arm(shoulder, elbow, wrist, hand)
