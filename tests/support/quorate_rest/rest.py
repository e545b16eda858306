"""JSON over HTTPS with a bearer token, to a server on loopback that nobody has certified."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30.0
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    code: int
    body: Json
    warnings: tuple[str, ...]

    @property
    def is_success(self) -> bool:
        """Whether the server did what was asked."""
        return self.code < 300

    @property
    def message(self) -> str:
        """Why it did not."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True, slots=True)
class Rest:
    """Requests of one user."""

    url: str
    token: str

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """Read an object or a list."""
        return self._ask("GET", path, None, "", accept)

    def create(self, path: str, body: Mapping[str, object]) -> Answer:
        """Create an object in the collection of this path."""
        return self._ask("POST", path, body, "application/json")

    def replace(self, path: str, body: Mapping[str, object]) -> Answer:
        """Replace the object of this path."""
        return self._ask("PUT", path, body, "application/json")

    def merge(self, path: str, body: Mapping[str, object]) -> Answer:
        """Patch the object of this path; None removes a field."""
        return self._ask("PATCH", path, body, MERGE)

    def apply(self, path: str, body: Mapping[str, object], manager: str) -> Answer:
        """Apply the object of this path server-side, by force."""
        return self._ask("PATCH", f"{path}?fieldManager={manager}&force=true", body, APPLY)

    def delete(self, path: str) -> Answer:
        """Delete the object of this path."""
        return self._ask("DELETE", path, None, "")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        content_type: str,
        accept: str = "application/json",
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", data=data, headers=headers, method=method
        )
        trusting = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trusting) as answer:
                warnings = tuple(answer.headers.get_all("Warning") or ())
                return Answer(answer.status, json.load(answer), warnings)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _failure(error.read()), ())


def _failure(text: bytes) -> Json:
    """Return a failure as an object; what the server does not know is answered in plain words."""
    try:
        body = json.loads(text)
    except ValueError:
        return {"message": text.decode(errors="replace")}
    assert isinstance(body, dict)
    return body
