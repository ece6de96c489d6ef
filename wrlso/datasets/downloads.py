"""Find a text file of known content in a folder, packed or not, or download it; check it in any case."""

import gzip
import hashlib
import io
import lzma
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from wrlso._utils.files import write_whole
from wrlso._utils.progress_bar import ProgressBar
from wrlso.exceptions import DataError

__all__ = ["TextFile", "find_text"]

_SECONDS = 60.0  # without an answer
_BLOCK = 2**16
_MOST_BYTES = 2**28  # neither a download nor what it unpacks to is larger


class TextFile(NamedTuple):
    """A file of one text a line."""

    name: str
    sha256: str  # of the lines, each stripped and ended by a line feed
    url: str
    about: str


class _Bounded(io.BytesIO):
    """Bytes in memory, of which there are not too many."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _MOST_BYTES:
            raise OSError(f"it has more than {_MOST_BYTES} bytes")
        return super().write(data)


def find_text(file: TextFile, data_home: str | Path | None, downloads: Path) -> str:
    """Return the content of a file from ``data_home``, ``$WRLSO_DATA``, ``downloads`` or its public copy.

    Raises
    ------
    DataError
        When the file that is found first has another content than expected, or when there is none and it
        cannot be downloaded; says where it was looked for.
    """
    folders = [Path(folder).expanduser() for folder in (data_home, os.environ.get("WRLSO_DATA")) if folder]
    for folder in [*folders, downloads]:
        for path in (folder / file.name, folder / f"{file.name}.xz"):
            if path.is_file():
                return _read(file, path)
    try:
        data = _download(file.url)
    except OSError as error:
        looked = ", ".join(str(folder) for folder in [*folders, downloads])
        raise DataError(
            f"{file.name} ({file.about}) is in none of {looked}, and downloading {file.url} failed: {error}; "
            f"put {file.name} or {file.name}.xz into a folder and name it with data_home or WRLSO_DATA"
        ) from error
    text = _checked(file, _unpacked(data, file.url), file.url)
    target = folders[0] if data_home else downloads
    try:
        target.mkdir(parents=True, exist_ok=True)
        write_whole(target / f"{file.name}.xz", lzma.compress(text.encode()))
    except OSError as error:
        if data_home:  # a folder that the user named; elsewhere the text is downloaded again next time
            raise DataError(
                f"{file.name} was downloaded and cannot be written to {target}: {error}"
            ) from error
    return text


def _read(file: TextFile, path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {error}; put back a copy or delete it") from error
    return _checked(file, data, str(path))


def _checked(file: TextFile, data: bytes, source: str) -> str:
    """Return the lines of the text, each ended by a line feed, if they are the expected ones."""
    lines = data.decode("utf-8", "replace").split("\n")
    text = "".join(f"{stripped}\n" for line in lines if (stripped := line.strip()))
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{source} is not {file.name} ({file.about}): its sha256 is {found}, expected {file.sha256}; "
            "put back a copy or delete it"
        )
    return text


def _download(url: str) -> bytes:
    """Download a file with a progress bar; raise OSError when that fails."""
    from pooch import HTTPDownloader  # here, as what loads it takes longer than reading a file

    received = _Bounded()
    # pooch asks whether the bar is true, which tqdm answers by its total until the server has named one
    with ProgressBar(total=1, desc=url.rpartition("/")[2], unit="B", unit_scale=True) as bar:
        HTTPDownloader(progressbar=bar, chunk_size=_BLOCK, timeout=_SECONDS)(url, received, None)
    return received.getvalue()


def _unpacked(data: bytes, source: str) -> bytes:
    """Return the one file in a tar archive, packed or not, or the content of a packed file, or the data."""
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_MOST_BYTES)
        elif data.startswith(b"\xfd7zXZ"):
            data = lzma.decompress(data)
        if not tarfile.is_tarfile(io.BytesIO(data)):
            return data
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            # some systems put hidden files with attributes beside the real ones
            members = [m for m in archive if m.isfile() and not Path(m.name).name.startswith(".")]
            extracted = archive.extractfile(members[0]) if len(members) == 1 else None
            if extracted is None:
                raise DataError(f"{source} must hold one file, got {[member.name for member in members]}")
            return extracted.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise DataError(f"{source} cannot be unpacked: {error}; try again or fetch it by hand") from error
