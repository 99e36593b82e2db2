"""Pictures in, pictures out: np.uint8 RGB (H, W, 3), upright."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
FORMATS = (
    "PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "AVIF", "HEIF", "JPEG2000",
    "TGA", "ICO", "ICNS", "PCX", "SGI", "DDS", "QOI", "PSD",
)  # fmt: skip


def damaged() -> tuple[type[Exception], ...]:
    """What Pillow raises on files that are damaged on purpose or by accident."""
    from PIL import Image

    return (
        *(OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError),
        *(LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError),
        Image.DecompressionBombError,  # of a frame beyond the picture's own size
    )


def read_picture(path: str | Path) -> np.ndarray:
    """Read any picture Pillow knows as uint8 RGB (H, W, 3).

    The EXIF rotation is applied, colors are brought to sRGB, transparency is laid on white, 16-bit,
    gray, palette and CMYK pictures are converted; of an animation the first frame is taken. Raises
    InputError.
    """
    from PIL import Image

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
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{path} is no picture that can be read; give a PNG, JPEG or WebP"
        ) from error
    except damaged() as error:
        raise InputError(
            f"{path} cannot be read as a picture ({error}); it may be damaged, save it again"
        ) from error


def open_picture(path: Path) -> Image:
    """As `PIL.Image.open`, of pictures alone, none of them beyond the limit. Raises InputError."""
    from PIL import Image

    Image.init()  # it knows few formats before
    formats = [name for name in FORMATS if name in Image.OPEN]
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
    """Width and height as `read_picture` gives them, from the file's header. Raises InputError."""

    try:
        with open_picture(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) >= 5  # the four quarter turns of EXIF
            return (height, width) if turned else (width, height)
    except damaged() as error:
        raise InputError(f"{path} cannot be read as a picture; remove or replace it") from error


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order: frame2 before frame10."""
    pictures = (
        p
        for p in folder.iterdir()
        if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    return sorted(pictures, key=lambda p: (natural(p.name), p.name))


def to_rgb(picture: Image) -> np.ndarray:
    """The open Pillow picture as uint8 sRGB (H, W, 3), upright, on white."""
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
    """The picture in the colors of screens, where it names others (Display P3, Adobe RGB, a press's
    CMYK); a profile that cannot be read, or is of another kind of picture, is left aside."""
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


def _deep_gray(values: np.ndarray) -> np.ndarray:
    """Bring 16-bit, 32-bit or float gray (H, W) to uint8.

    Integers count as 16-bit (what PNG and TIFF hold) and floats as 0..1, unless a value is beyond
    that; then the largest value becomes white.
    """
    white = 65535.0 if values.dtype.kind in "iu" else 1.0
    gray = np.nan_to_num(values.astype(np.float64))
    white = max(white, float(gray.max()))
    return np.clip(np.rint(gray * (255.0 / white)), 0, 255).astype(np.uint8)


def write_picture(path: str | Path, picture: np.ndarray, overwrite: bool = False) -> None:
    """Write uint8 RGB (H, W, 3) as PNG or JPEG, whole or not at all. Raises OutputError."""
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise OutputError(
            f"{path}: a picture is written as {', '.join(WRITTEN_SUFFIXES)}, "
            f"not as {path.suffix or 'a file without suffix'}"
        )
    with whole_file(path, overwrite) as hidden:
        Image.fromarray(picture).save(hidden, quality=95)
