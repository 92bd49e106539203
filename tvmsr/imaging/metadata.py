"""What travels with the pixels: colour profile, EXIF, and what a PNG says of its colours."""

from __future__ import annotations

from PIL import ExifTags, Image

from tvmsr.imaging.holding import Channels, icc_space

#: Of a TIFF file's own tags, those that describe the picture; all others say how the file stores it.
_OF_TIFF = {
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software,
    ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright,
    ExifTags.Base.Orientation,
}  # fmt: skip

#: Bytes of EXIF without any tag.
_NOTHING = len(Image.Exif().tobytes())

#: The size in EXIF, which is not that of the result, and XMP, which has an orientation of its own.
_SIZES = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength, 0x02BC)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_INNER_SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, or a damaged one."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's reader of EXIF raises whatever it stumbles over
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif_of(image: Image.Image) -> tuple[bytes | None, str]:
    """EXIF of an upright picture without thumbnail and size, or None, and what to tell the user, or ""."""
    try:
        exif, kept = image.getexif(), Image.Exif()
        for tag, value in exif.items():
            if tag not in (*_SIZES, *_DIRECTORIES) and (image.format != "TIFF" or tag in _OF_TIFF):
                kept[tag] = value
        if ExifTags.Base.Orientation in kept:
            kept[ExifTags.Base.Orientation] = 1
        for directory in _DIRECTORIES:
            inner = {tag: value for tag, value in exif.get_ifd(directory).items() if tag not in _INNER_SIZES}
            if inner:
                kept.get_ifd(directory).update(inner)
        whole = kept.tobytes()
        return (whole if len(whole) > _NOTHING else None), ""
    except Exception:  # as above
        return None, "its EXIF data are damaged and were left out"


def icc_of(image: Image.Image, channels: Channels) -> tuple[bytes | None, str]:
    """The embedded profile where it fits pixels of `channels`, and what to tell the user, or ""."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None, ""
    space = icc_space(profile)
    if space == ("GRAY" if channels.gray else "RGB"):
        return profile, ""
    if space == "CMYK":
        return None, ""  # of that the conversion speaks
    what = f"is for {space} pixels" if space else "is damaged"
    return None, f"its colour profile {what} and was left out"
