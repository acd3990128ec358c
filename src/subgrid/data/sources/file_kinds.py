"""Name files that cannot be read as they are for what they are, with what to do."""

from __future__ import annotations

from pathlib import Path

SUPPORTED = "NetCDF 3 and 4, Zarr (folder or zipped), GRIB 1 and 2, and .npy of shape (N, C, H, W)"

_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"BZh", "compressed with bzip2", "Decompress it: `bunzip2 -k {name}`."),
    (b"\x1f\x8b", "compressed with gzip", "Decompress it: `gunzip -k {name}` (an archive .tar.gz: `tar xf {name}`)."),
    (b"\xfd7zXZ\x00", "compressed with xz", "Decompress it: `unxz -k {name}`."),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Decompress it: `unzstd {name}`."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it: `7z x {name}`."),
    (b"\x1f\x9d", "compressed with compress", "Decompress it: `uncompress {name}`."),
    (
        b"\x0e\x03\x13\x01",
        "an HDF4 file",
        "Convert it to NetCDF, e.g. `ncl_convert2nc {name}` or `h4tonccf_nc4 {name}`.",
    ),
    (b"MATLAB 5.0", "a MATLAB file", "Open it with scipy.io.loadmat and pass an xarray Dataset."),
    (b"BUFR", "a BUFR file of observations", "Only gridded fields can be read."),
    (b"%PDF", "a PDF document", "Download the data, not their description."),
)


def name_unsupported(path: Path, head: bytes) -> str:
    """Say in one line what a file is that no reader opens, and what to do.

    Args:
        path: the file.
        head: its first bytes.
    """
    name = path.name
    if not head:
        return f"{name}: the file is empty (0 bytes). Download or write it again."
    for magic, what, remedy in _KINDS:
        if head.startswith(magic):
            return f"{name}: the file is {what}. {remedy.format(name=name)}"
    if b"ustar" in head[257:263]:
        return f"{name}: the file is a tar archive. Unpack it: `tar xf {name}`."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:1024]:
        return (
            f"{name}: the file is a web page{_title(head)}, not data: a server sent it in place of the file, usually to ask "
            "for a login. Download the data again with your account (such as a .netrc file or a token)."
        )
    if text.startswith((b"<?xml", b"{", b"[")):
        kind = "XML" if text.startswith(b"<") else "JSON"
        start = " ".join(head[:160].decode("utf-8", "replace").split())
        return (
            f"{name}: the file is {kind} text, not data: {start!r}. It is often the error message of a server; read it, and "
            "download the data again."
        )
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return f"{name}: the file is plain text. Supported are {SUPPORTED}. Convert it, or open it and pass an xarray Dataset."
    return (
        f"{name}: this kind of file is not supported. Supported are {SUPPORTED}. Convert it (e.g. with `cdo -f nc copy`), "
        "or open it with xarray and pass the Dataset."
    )


def _title(head: bytes) -> str:
    """The title of a web page in brackets, if it has one."""
    _, found, rest = head.partition(b"<title>")
    title = " ".join(rest.partition(b"</")[0].decode("utf-8", "replace").split())
    return f" ({title[:80]!r})" if found and title else ""
