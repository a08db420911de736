"""Draws synthetic persons, cameras and occluders for the data set RenderedReid."""

from .camera import Camera, make_camera
from .figure import Pose, draw_person
from .occluders import KINDS, draw_occluder
from .photo import Photo, take_photo
from .wardrobe import Person, make_person

__all__ = [
    "KINDS",
    "Camera",
    "Person",
    "Photo",
    "Pose",
    "draw_occluder",
    "draw_person",
    "make_camera",
    "make_person",
    "take_photo",
]
