"""Files that may be damaged, or anybody's: nothing too large is read, and errors name the file."""

import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EINVAL
from hashlib import file_digest, sha256
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MOST_TEXT = 64 << 20  # bytes
WEIGHTS_FILES = (".pt", ".pth", ".safetensors")
"""The suffixes that make a name that of a file of weights, whether it is there or not."""
AGAIN = "delete it, or make it again"


@contextmanager
def reading(
    path: Path, mend: str = AGAIN, *, found: str = "is damaged or cut short", why: bool = True
) -> Iterator[None]:
    """Let errors of every kind, as damaged files raise them, name the file and say what to do.

    They become a ValueError that says that the file `found`, `why` by the error itself, and how to
    `mend` it. A ValueError that names the file stays as it is; an OSError and a MemoryError keep
    their kind, since the file may be whole.
    """
    try:
        yield
    except Exception as error:
        lacking = of_memory(error) and not isinstance(error, MemoryError)
        named = str(path) in str(error) and not lacking
        if named or (isinstance(error, OSError) and error.filename):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        if of_memory(error):
            raise MemoryError(f"{path}: {reason}") from error
        # A place before the beginning of a file, which a damaged one names, is invalid.
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise OSError(error.errno, error.strerror, str(path)) from error
        said = f" ({reason[:300]})" if why else ""
        raise ValueError(f"{path} {found}{said}; {mend}") from error


def of_memory(error: Exception) -> bool:
    """Whether memory was lacking; PyTorch raises a RuntimeError then."""
    lacking = "can't allocate memory" in str(error) or "out of memory" in str(error)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and lacking)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an OSError, such as that of a full disk, name the file that is written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or str(path) in str(error):
            raise
        if error.errno is None:  # NumPy's
            raise OSError(f"{path} could not be written: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_text(path: Path) -> str:
    """The UTF-8 text in a file; ValueError, naming the file, if it is none, or is far too large."""
    with reading(path):
        require_file(path)
        with path.open("rb") as file:
            content = file.read(min(path.stat().st_size, MOST_TEXT) + 1)  # which takes that memory
        if len(content) > MOST_TEXT:
            raise ValueError(f"it has more than {MOST_TEXT >> 20} MiB")
        return TextIOWrapper(BytesIO(content), "utf-8").read()


def read_json(path: Path, mend: str = AGAIN) -> dict[str, Any]:
    """The mapping in a JSON file; ValueError, naming the file, if it is damaged."""
    text = read_text(path)
    with reading(path, mend):
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("it does not hold a mapping of names to values")
    return value


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts for a JSON file with a `checksum` of them, which `read_sealed` looks at."""
    return {**facts, "checksum": checksum(facts)}


def read_sealed(path: Path, mend: str = AGAIN, *, always: bool = False) -> dict[str, Any]:
    """The mapping in a JSON file; ValueError, naming the file, if it is not as it was written.

    One without any checksum is taken as it is, unless it was `always` written with one. Where it
    has `checksums` of files but none of its own, the name of that is what was damaged.
    """
    facts = read_json(path, mend)
    stated = facts.pop("checksum", None)
    unstated = stated is None and "checksums" not in facts and not always
    if not unstated and stated != checksum(facts):
        raise ValueError(f"{path} is damaged (its checksum is wrong); {mend}")
    return facts


def checksum(facts: Any) -> str:
    """SHA-256 (hex) of values that JSON can hold, whatever the order of their names."""
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; errors name the file."""
    require_file(path)
    with reading(path), path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def require_file(path: Path) -> None:
    """Raise ValueError for what could be read for ever, OSError for what cannot be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file, but a folder, a pipe or a device")


@contextmanager
def in_utf8(path: Path) -> Iterator[Path]:
    """The path, or a link to it whose name is UTF-8, without which some libraries open no file."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with TemporaryDirectory() as folder:
            link = Path(folder, f"file{path.suffix}")
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


_MEMBER = b"PK\x03\x04"
"""What a member of a zip archive begins with."""


def require_all_listed(archive: zipfile.ZipFile) -> None:
    """Raise ValueError for a zip archive with a member that its list names otherwise, or lacks.

    The list stands at the end of the file, has no checksum, and is all that zipfile looks at. A
    member begins with its name; where one ends, what follows is the next.
    """
    file, ends = archive.fp, [0]
    assert file is not None
    for info in archive.infolist():
        file.seek(info.header_offset)
        fixed = file.read(30)
        if len(fixed) < 30 or fixed[:4] != _MEMBER:
            raise ValueError(f"it lists {info.filename!r} where no member is")
        of_name, of_extra = (int.from_bytes(fixed[at : at + 2], "little") for at in (26, 28))
        name = file.read(of_name).decode("utf-8" if fixed[7] & 8 else "cp437", "replace")
        if name != info.orig_filename:
            raise ValueError(f"it lists {info.filename!r}, but has {name!r} there")
        end = info.header_offset + 30 + of_name + of_extra + info.compress_size
        # Behind a member that was written to a pipe stand its checksum and its sizes.
        ends += [end + size for size in ((12, 16, 20, 24) if fixed[6] & 8 else (0,))]
    for end in {*ends} - {info.header_offset for info in archive.infolist()}:
        file.seek(end)
        if file.read(4) == _MEMBER:
            raise ValueError("it holds a member that it does not list")


def require_whole(path: Path) -> None:
    """Raise ValueError for a zip archive of PyTorch's in which a checksum is wrong, or OSError.

    PyTorch reads its own archives without looking at their checksums, and another reader might see
    other bytes than it does: a flipped attribute makes a file a folder, whose tensor is whatever
    lies in memory. PyTorch compresses nothing, so that an archive with compressed parts, which
    could be of any size, is refused too.
    """
    from torch import _C

    require_file(path)
    with path.open("rb"):  # PyTorch's reader has one error for all reasons not to open a file
        pass
    with in_utf8(path) as named, zipfile.ZipFile(path) as archive:
        reader = _C.PyTorchFileReader(str(named))
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("it holds compressed parts, as no file of PyTorch's does")
            name = info.filename.partition("/")[2]
            if zlib.crc32(reader.get_record(name)) != info.CRC:
                raise ValueError(f"the checksum of {info.filename} is wrong")
