"""Pictures in, pictures out: np.uint8 RGB (H, W, 3), upright."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray, Picture
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import natural, whole_file
from magicpose_cli.video.limits import beyond_limit, check_size, max_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
)
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")
# Pillow's own decoders of pictures: no EPS, which runs Ghostscript, and none for other programs.
PILLOW_FORMATS = (
    "PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "AVIF", "HEIF", "JPEG2000",
    "TGA", "ICO", "ICNS", "PCX", "SGI", "DDS", "QOI", "PSD",
)  # fmt: skip


def damaged() -> tuple[type[Exception], ...]:
    """List what Pillow raises on files that are damaged on purpose or by accident."""
    from PIL import Image

    return (
        *(OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError),
        *(LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError),
        Image.DecompressionBombError,  # of a frame beyond the picture's own size
    )


def read_picture(path: str | Path) -> Picture:
    """Read any picture that Pillow knows.

    The EXIF rotation is applied, colors are brought to sRGB, transparency is laid on white, 16-bit,
    gray, palette and CMYK pictures are converted; of an animation the first frame is taken.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: The file is missing, too large, or no picture.
    """
    from PIL import UnidentifiedImageError

    path = Path(path)
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist; give a picture")
        if path.is_dir():
            raise InputError(f"{path} is a folder; give one picture")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged notes beside the picture
            with open_picture(path) as picture:
                return to_rgb(picture)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is no picture that can be read; give a PNG, JPEG or WebP"
        ) from error
    except damaged() as error:
        raise InputError(
            f"{path} cannot be read as a picture ({error}); it may be damaged, save it again"
        ) from error


def open_picture(path: Path) -> Image:
    """Open a picture with Pillow's own decoders, if it is within the limit of size.

    Raises:
        InputError: The picture is beyond the limit.
    """
    from PIL import Image

    Image.init()  # it knows few formats before
    formats = [name for name in PILLOW_FORMATS if name in Image.OPEN]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is the lower limit
        try:
            picture = Image.open(path, formats=formats)
        except Image.DecompressionBombError:
            if max_pixels() <= 2 * (Image.MAX_IMAGE_PIXELS or 0):
                raise InputError(beyond_limit(path)) from None
            Image.MAX_IMAGE_PIXELS = max_pixels()  # of all Pillow, as the user has asked for
            picture = Image.open(path, formats=formats)
    try:
        check_size(path, *picture.size)
    except InputError:
        picture.close()
        raise
    return picture


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) as `read_picture` gives them, from the file's header.

    Raises:
        InputError: The file cannot be read as a picture.
    """
    try:
        with open_picture(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) >= 5  # the four quarter turns of EXIF
            return (height, width) if turned else (width, height)
    except damaged() as error:
        raise InputError(f"{path} cannot be read as a picture; remove or replace it") from error


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder in natural order: frame2 before frame10."""
    pictures = (
        p
        for p in folder.iterdir()
        if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    return sorted(pictures, key=lambda p: (natural(p.name), p.name))


def to_rgb(picture: Image) -> Picture:
    """Convert an open Pillow picture to uint8 sRGB (H, W, 3), upright, on white."""
    from PIL import Image, ImageOps

    picture = _in_srgb(ImageOps.exif_transpose(picture))
    if picture.mode.startswith("I") or picture.mode == "F":
        return np.repeat(_deep_gray(np.asarray(picture))[..., None], 3, axis=2)
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, (255, 255, 255))
        white.paste(picture, mask=picture.getchannel("A"))
        picture = white
    return np.array(picture.convert("RGB"))


def _in_srgb(picture: Image) -> Image:
    """Bring a picture with another color profile (Display P3, Adobe RGB, a CMYK) to sRGB.

    A profile that cannot be read, or is for another kind of picture, is ignored.
    """
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "P", "PA"):
        return picture
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return picture
        has_alpha = "A" in picture.mode or "transparency" in picture.info
        mode = "RGBA" if has_alpha else "RGB"
        if picture.mode != "CMYK":
            picture = picture.convert(mode)
        screen = ImageCms.createProfile("sRGB")
        changed = ImageCms.profileToProfile(picture, own, screen, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if changed is None else changed


def _deep_gray(values: AnyArray) -> Picture:
    """Bring 16-bit, 32-bit or float gray (H, W) to uint8.

    Integers count as 16-bit (what PNG and TIFF hold) and floats as 0..1, unless a value is beyond
    that; then the largest value becomes white.
    """
    white = 65535.0 if values.dtype.kind in "iu" else 1.0
    gray = np.nan_to_num(values.astype(np.float64))
    white = max(white, float(gray.max()))
    return np.asarray(np.clip(np.rint(gray * (255.0 / white)), 0, 255), np.uint8)


def write_picture(path: str | Path, picture: Picture, overwrite: bool = False) -> None:
    """Write a picture, whole or not at all.

    Args:
        path: Its suffix, .png or .jpg, decides the format.
        picture: (H, W, 3) uint8 RGB.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The picture cannot be written there.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise OutputError(
            f"{path}: a picture is written as {', '.join(WRITTEN_SUFFIXES)}, "
            f"not as {path.suffix or 'a file without suffix'}"
        )
    with whole_file(path, overwrite) as hidden:
        Image.fromarray(picture).save(hidden, quality=95)
