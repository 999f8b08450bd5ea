"""Product pictures: looked at with suspicion, made small and clean, and kept under the hash of what they were.

A picture is stored twice, as WebP without metadata: at most 1200 px and at most 480 px on the longer side.
``Product.picture`` holds the hash (64 hexadecimal digits), or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import warnings
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps

#: The largest picture file that is read (bytes).
GREATEST_FILE = 5 * 1024 * 1024
#: The longest side that a given picture may have (pixels). 5000 x 5000 takes 100 MB while it is decoded.
GREATEST_SIDE = 5000
FORMATS = ("JPEG", "PNG", "WEBP")
#: The longest side of the picture itself, and of its small variant (pixels).
LARGE, SMALL = 1200, 480
#: Part of every hash: a picture that is made in another way gets another name, so browsers fetch it anew.
RECIPE = b"todoku-1 webp 1200/480 q82"


def find(folder: Path, name: str) -> Path:
    """Find a picture by its file name in the pictures folder, and nowhere else; ValueError says why not."""
    if not folder.is_dir():
        raise ValueError(_("the pictures folder %(folder)s does not exist") % {"folder": folder})
    try:
        # resolve() follows links too: what is asked is where the bytes really are.
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise ValueError(_("%(name)s is not inside the pictures folder") % {"name": name})
    if not path.is_file():
        raise ValueError(_("there is no picture %(name)s in %(folder)s") % {"name": name, "folder": folder})
    return path


def look(path: Path) -> str:
    """Look at a picture without keeping it and give the hash it would have; ValueError says what is wrong."""
    data = _bytes(path)
    name = _name(data)
    if not default_storage.exists(_address(name)):
        _decoded(data)
    return name


def keep(path: Path) -> str:
    """Keep a picture, large and small, unless it is there already; give its hash."""
    data = _bytes(path)
    name = _name(data)
    # The large one is written last, so where it is, both are.
    if not default_storage.exists(_address(name)):
        picture = _clean(_decoded(data))
        _store(_address(name, small=True), _webp(picture, SMALL))
        _store(_address(name), _webp(picture, LARGE))
    return name


def url(name: str, *, small: bool = False) -> str:
    """The address at which a shopper's browser fetches a picture, or nothing where there is none."""
    return default_storage.url(_address(name, small=small)) if name else ""


def _address(name: str, *, small: bool = False) -> str:
    return f"products/{name}{f'-{SMALL}' if small else ''}.webp"


def _name(data: bytes) -> str:
    return hashlib.sha256(RECIPE + b"\0" + data).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(GREATEST_FILE + 1)
    except OSError as error:
        raise ValueError(
            _("%(name)s cannot be read: %(error)s") % {"name": path.name, "error": error.strerror}
        ) from error
    if len(data) > GREATEST_FILE:
        raise ValueError(
            _("%(name)s is larger than %(limit)s MB") % {"name": path.name, "limit": GREATEST_FILE // 1024 // 1024}
        )
    return data


def _decoded(data: bytes) -> Image.Image:
    """Decode a whole picture, so that nothing that only begins like one is kept."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            if max(picture.size) > GREATEST_SIDE:
                raise ValueError(
                    _("is %(width)s x %(height)s pixels; at most %(most)s each way")
                    % {"width": picture.width, "height": picture.height, "most": GREATEST_SIDE}
                )
            picture.load()
    except ValueError:
        raise
    except Exception as error:
        # Pillow answers broken files with many kinds of errors (OSError, SyntaxError, struct.error …).
        raise ValueError(_("is not a whole JPEG, PNG or WebP picture")) from error
    return picture


def _clean(picture: Image.Image) -> Image.Image:
    """Turn a picture upright and into plain sRGB; all else in its file (place, camera, notes) is left out."""
    profile = picture.info.get("icc_profile")
    upright = ImageOps.exif_transpose(picture)
    transparent = upright.has_transparency_data
    if profile and upright.mode in ("RGB", "RGBA", "CMYK"):
        # A broken profile costs the picture a shade of colour, not its place in the shop.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            upright = (
                ImageCms.profileToProfile(
                    upright,
                    ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                    ImageCms.createProfile("sRGB"),
                    outputMode="RGBA" if upright.mode == "RGBA" else "RGB",
                )
                or upright
            )
    plain = upright.convert("RGBA" if transparent else "RGB")
    clean = Image.new(plain.mode, plain.size)
    clean.paste(plain)
    return clean


def _webp(picture: Image.Image, longest: int) -> bytes:
    smaller = picture.copy()
    smaller.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    smaller.save(out, "WEBP", quality=82, method=4)
    return out.getvalue()


def _store(address: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        target = Path(default_storage.path(address))
    except NotImplementedError:
        # Not a folder of this machine (S3, say); such a store shows an object only when it is whole.
        default_storage.save(address, ContentFile(data))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(half, 0o644)  # mkstemp's files are for their owner only; a web server must read this one
        os.replace(half, target)
    except BaseException:
        os.unlink(half)
        raise
