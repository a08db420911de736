"""Data sets for testing alone that record no camera: Occluded-REID, Partial-REID, Partial-iLIDS."""

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Entry, Listing, folder_in, images_in, images_of_people, number_at_start


class CameralessBuilder(FolderBuilder, skip_registration=True):
    """Base of these builders. The identity is the number before the first `_` of a base name.

    By the field's convention the query is camera 0 and the gallery camera 1.

    FOLDERS: the folders of query and gallery, by variant; images: lists the files of one folder.
    """

    FOLDERS: dict[str, tuple[str, str]]
    images = staticmethod(images_in)

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        root, splits = spec.folder, {}
        named = zip(("query", "gallery"), cls.FOLDERS[cls.variant_of(spec)], strict=True)
        for camera, (split, folder) in enumerate(named):
            splits[split] = [
                Entry(path, path.relative_to(root).as_posix(), number_at_start(path), camera)
                for path in cls.images(folder_in(root, folder))
            ]
        return splits


class OccludedREID(CameralessBuilder):
    """Occluded-REID: 200 people before mobile cameras, five occluded and five whole pictures each.

    Source: https://github.com/tinajia2012/ICME2018_Occluded-Person-Reidentification_datasets. For
    academic use, not commercial.

    Layout:

        Occluded_REID/
          occluded_body_images/   001/001_01.tif ... 001_05.tif  002/ ...     the query
          whole_body_images/      001/001_01.tif ... 001_05.tif  002/ ...     the gallery

    There is no training set; the field trains on Market-1501.

    Counts (identities / images): query 200 / 1,000, gallery 200 / 1,000.

    Citation: J. Zhuo, Z. Chen, J. Lai, G. Wang. Occluded Person Re-identification. ICME 2018
    (arXiv 1804.02792).
    """

    name = "occluded_reid"
    PUBLISHED = {"": {"query": Counts(200, 1000), "gallery": Counts(200, 1000)}}
    FOLDERS = {"": ("occluded_body_images", "whole_body_images")}
    images = staticmethod(images_of_people)


class PartialREID(CameralessBuilder):
    """Partial-REID: 60 people on a campus, five partial, five occluded, five whole pictures each.

    Source: W.-S. Zheng's group, Sun Yat-sen University; no licence is published with it.

    Layout:

        Partial-REID_Dataset/
          partial_body_images/    001_001.jpg ...     the query
          occluded_body_images/   001_001.jpg ...     the query of the variant "occluded"
          whole_body_images/      001_001.jpg ...     the gallery

    The literature gives one name to two query sets: most papers use partial_body_images (the
    default), some use occluded_body_images. Some programs read the picture's number as its camera,
    which removes a fifth of the matches.

    Counts (identities / images): query 60 / 300, gallery 60 / 300.

    Citation: W.-S. Zheng, X. Li, T. Xiang, S. Liao, J. Lai, S. Gong. Partial Person
    Re-identification. ICCV 2015.
    """

    name = "partial_reid"
    VARIANTS = ("partial", "occluded")
    PUBLISHED = dict.fromkeys(VARIANTS, {"query": Counts(60, 300), "gallery": Counts(60, 300)})
    FOLDERS = {query: (f"{query}_body_images", "whole_body_images") for query in VARIANTS}


class PartialILIDS(CameralessBuilder):
    """Partial-iLIDS: 119 people in an airport, one partial and one whole picture each.

    Source: pictures of i-LIDS, whose footage belongs to the UK Home Office and is restricted; L. He
    and others give the selection on request.

    Layout:

        Partial_iLIDS/
          Probe/     1.jpg 2.jpg ...     the query
          Gallery/   1.jpg 2.jpg ...

    `1.jpg` and `001.jpg` are one person.

    Counts (identities / images): query 119 / 119, gallery 119 / 119.

    Citation: L. He, J. Liang, H. Li, Z. Sun. Deep Spatial Feature Reconstruction for Partial
    Person Re-identification: Alignment-free Approach. CVPR 2018. W.-S. Zheng, S. Gong, T. Xiang.
    Person Re-identification by Probabilistic Relative Distance Comparison. CVPR 2011.
    """

    name = "partial_ilids"
    PUBLISHED = {"": {"query": Counts(119, 119), "gallery": Counts(119, 119)}}
    FOLDERS = {"": ("Probe", "Gallery")}
