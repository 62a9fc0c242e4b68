"""Objects in S3 or in what speaks its protocol, by obstore (the Rust crate object_store).

Credentials come from the standard chain and nowhere else: environment, web identity, container, instance metadata. So do
region (AWS_REGION) and endpoint (AWS_ENDPOINT_URL).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from server.models.objects import ObjectChanged, ObjectInfo, StoredObject
from server.models.repository import RepositoryError

if TYPE_CHECKING:  # obstore has these types for checkers only
    from obstore.store import ClientConfig, RetryConfig

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_CONNECT = timedelta(seconds=5)
# Without a byte for so long, an answer is given up. How long a whole one takes is up to its size.
_READ = timedelta(seconds=30)
_WHOLE = timedelta(hours=1)
# Written to find out whether the store keeps to conditions. No model's name begins with a dot.
_PROBE = ".compare-and-swap"
_RETRY: RetryConfig = {
    "max_retries": 3,
    "retry_timeout": timedelta(minutes=1),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


class S3Objects:
    """Objects under `s3://bucket/prefix`.

    Args:
        url: the root.
        environment: where the endpoint is looked up, to allow plain HTTP only where it was asked for.

    Raises:
        RepositoryError: the URL has no bucket, or more than a bucket and a prefix, or a variable of the chain is wrong.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if not parts.netloc or parts.query or parts.fragment:
            raise RepositoryError(f"model repository {url}: expected s3://bucket or s3://bucket/prefix")
        self.url = url.rstrip("/")
        self._keeps_conditions = False
        endpoint = next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")
        options: ClientConfig = {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": _CONNECT,
            "read_timeout": _READ,
            "timeout": _WHOLE,
        }
        with self._refusals():
            prefix = parts.path.strip("/") or None
            self._store = S3Store(parts.netloc, prefix=prefix, client_options=options, retry_config=_RETRY)

    def list(self, prefix: str) -> list[ObjectInfo]:
        with self._refusals():
            pages = self._store.list(prefix or None)
            found = [ObjectInfo(o["path"], o["size"], o["e_tag"] or "") for page in pages for o in page]
        return sorted(found, key=lambda info: info.path)

    def get(self, path: str) -> StoredObject | None:
        with self._refusals():
            try:
                result = self._store.get(path)
                return StoredObject(bytes(result.bytes()), result.meta["e_tag"] or "")
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def put(self, path: str, content: bytes) -> None:
        with self._refusals():
            self._store.put(path, content)

    def swap(self, path: str, content: bytes, expected: str | None) -> None:
        if not self._keeps_conditions:
            self._prove_conditions()
            self._keeps_conditions = True
        self._put_if(path, content, expected)

    def _put_if(self, path: str, content: bytes, expected: str | None) -> None:
        with self._refusals():
            try:
                self._store.put(path, content, mode="create" if expected is None else {"e_tag": expected})
            except (AlreadyExistsError, PreconditionError):
                raise ObjectChanged from None

    def _prove_conditions(self) -> None:
        """Older S3-compatible stores ignore If-Match and overwrite: there, two writers would both believe they won."""
        self.put(_PROBE, b"")
        for expected in (None, '"of another content"'):
            try:
                self._put_if(_PROBE, b"", expected)
            except ObjectChanged:
                continue
            raise RepositoryError(
                f"model repository {self.url}: the store ignores If-Match and If-None-Match, so no alias can be moved safely"
            )

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise RepositoryError(f"model repository {self.url}: {cause(str(error))}") from None


def cause(message: str) -> str:
    """Why a request failed, in one line, from object_store's message: it tells its cause in XML, or in a dump of values."""
    where = re.search(r"Error performing \w+ (\w+://[^/\s]+)", message)
    at = f" at {where[1]}" if where else ""
    if "/latest/api/token" in message or "/latest/meta-data" in message:
        return (
            "no credentials: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) has none, nor has the machine"
        )
    if code := re.search(r"<Code>(.*?)</Code>", message):
        text = re.search(r"<Message>(.*?)</Message>", message)
        return f"refused{at}: {code[1]}" + (f": {text[1]}" if text else "")
    if "kind: Timeout" in message:
        return f"no answer in time{at}"
    if "kind: Connect" in message:
        detail = re.search(r'(?:message|error): "(.*?)"', message)
        return f"cannot be reached{at}" + (f": {detail[1]}" if detail else "")
    status = re.search(r"non-2xx status code: ([^:\n]+)", message)
    return f"refused{at}: {status[1].strip()}" if status else message.partition("\n")[0]
