"""Draws a whole person in a pose as a cut-out."""

from collections.abc import Callable

from PIL import Image

from .bags import bag_place, draw_bag, draw_straps
from .canvas import GROUND_ROW, HEIGHT, PIXELS_PER_UNIT, WIDTH, Canvas
from .garments import draw_arm, draw_hood, draw_torso
from .head import draw_falling_hair, draw_head, draw_neck
from .legs import draw_leg, draw_seat
from .skeleton import SIDES, Pose, Skeleton, make_skeleton
from .wardrobe import Person

__all__ = ["GROUND_ROW", "HEIGHT", "PIXELS_PER_UNIT", "WIDTH", "Pose", "draw_person"]

# These depth offsets draw the legs first and the seat second; the upper garment covers both.
LEGS_BEHIND, SEAT_BEHIND = 2.0, 1.0


def draw_person(person: Person, pose: Pose) -> Image.Image:
    """Draws a person as an RGBA image of HEIGHT x WIDTH pixels.

    A person of height 1 is PIXELS_PER_UNIT pixels tall and stands on row GROUND_ROW in the middle
    column. Alpha is 255 inside the silhouette and 0 outside; shrinking smooths the edges.
    """
    canvas = Canvas(pose.orientation, pose.elevation, pose.light)
    skeleton = make_skeleton(person.build, pose)
    # Painter's algorithm: nearer parts are drawn later.
    for _, draw in sorted(_parts(canvas, skeleton, person, pose), key=lambda part: part[0]):
        draw()
    return canvas.image()


def _parts(
    canvas: Canvas, skeleton: Skeleton, person: Person, pose: Pose
) -> list[tuple[float, Callable[[], None]]]:
    """Returns the parts of the figure as (depth, draw) pairs."""
    upper, bag = person.upper, person.bag
    _, _, head_z = skeleton.head

    def draw_dressed_torso() -> None:
        draw_neck(canvas, skeleton, person.skin)
        cloth = draw_torso(canvas, skeleton, upper)
        draw_straps(canvas, skeleton, bag, cloth)

    parts = [
        (-SEAT_BEHIND, lambda: draw_seat(canvas, skeleton, person.lower)),
        (0.0, draw_dressed_torso),
        (0.001, lambda: draw_head(canvas, skeleton, pose, person.skin, person.hair)),
        (
            canvas.depth((0.0, 0.0, head_z - 0.05)),
            lambda: draw_falling_hair(canvas, skeleton, person.hair),
        ),
    ]
    for side in SIDES:
        knee, elbow = skeleton.legs[side].knee, skeleton.arms[side].elbow
        parts.append(
            (
                canvas.depth(knee) - LEGS_BEHIND,
                lambda side=side: draw_leg(canvas, skeleton, side, person),
            )
        )
        parts.append(
            (
                canvas.depth(elbow) + 0.02,
                lambda side=side: draw_arm(canvas, skeleton, side, person.skin, upper),
            )
        )
    if upper.kind == "hoodie":
        hood_depth = canvas.depth((0.0, 0.0, -0.03))
        parts.append((hood_depth, lambda: draw_hood(canvas, skeleton, upper.colour)))
    if bag.kind != "none":
        bag_depth = canvas.depth(bag_place(skeleton, bag))
        parts.append((bag_depth, lambda: draw_bag(canvas, skeleton, bag)))
    return parts
