"""Hashes of values as JSON: 16 hexadecimal digits, equal for equal values."""

from __future__ import annotations

import hashlib
import json

HASH_LENGTH = 16


def hash_of(value: object) -> str:
    """Return the hash of a value that JSON can hold; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hash_of_text(text)


def hash_of_text(text: str) -> str:
    """Return the hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
