"""Files in an object store: s3://bucket/folder, gs://bucket/folder.

Arrow opens it. Keys, region and the address of a server of one's own come from the usual variables:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.image_files import is_image
from dpeformer_jax.base.pictures import PictureError


def located(url: str) -> tuple[Any, str]:
    """Returns Arrow's file system of a URL, and the path in it.

    Raises:
        UserError: pyarrow is missing, or it does not know the store.
    """
    try:
        import pyarrow as pa
        from pyarrow.fs import FileSystem
    except ModuleNotFoundError as error:
        raise UserError(f"{url} needs pyarrow: pip install 'dpeformer_jax[gallery]'") from error
    try:
        system, path = FileSystem.from_uri(url)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{url} cannot be opened: {error}") from error
    return system, path.rstrip("/")


def pictures_below(url: str) -> Iterator[str]:
    """Yields the URLs of the pictures below a folder, sorted, or of the one that it names.

    Raises:
        UserError: there is none, or the store cannot be read.
    """
    from pyarrow.fs import FileSelector, FileType

    system, path = located(url)
    start = url[: url.index("://") + 3]
    try:
        (named,) = system.get_file_info([path])
        if named.type == FileType.File:
            yield f"{start}{path}"
            return
        found = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    except OSError as error:
        raise UserError(f"{url} cannot be read: {error}") from error
    files = sorted(info.path for info in found if info.type == FileType.File)
    pictures = [file for file in files if is_image(PurePosixPath(file))]
    if not pictures:
        raise UserError(f"{url} holds no picture")
    yield from (f"{start}{file}" for file in pictures)


def read_picture(url: str) -> bytes:
    """Returns the content of a file; raises PictureError where it cannot be read."""
    system, path = located(url)
    try:
        with system.open_input_file(path) as file:
            return file.read()
    except OSError as error:
        raise PictureError(str(error)) from error
