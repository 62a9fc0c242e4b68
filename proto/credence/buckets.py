"""The bucket of an applicant: what routers keep an applicant on one colour by."""

from __future__ import annotations

import hashlib

BUCKET_HEADER = "x-credence-bucket"
BUCKETS = 100
# Every caller of one deployment must use the same salt, or an applicant changes colour with the caller.
DEFAULT_SALT = "credence"


def bucket(applicant_id: str, salt: str = DEFAULT_SALT) -> int:
    """Bucket of an applicant, 0 to 99: sha256 of salt + applicant id (UTF-8), its first 8 bytes as a big-endian number.

    The remainder of 2^64 by 100 favours no bucket by more than 1e-17.
    """
    digest = hashlib.sha256(f"{salt}{applicant_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
