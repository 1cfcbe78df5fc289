"""Requests with temporary credentials: checked as AWS checks them, and signed anew without their token.

versitygw knows keys that stay and no session tokens, so whatever stands for AWS before it does this part.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

TOKEN = "x-amz-security-token"
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """With S3's word for it."""


@dataclass(frozen=True)
class Request:
    """What is signed of a request.

    Attributes:
        method: such as GET.
        path: as it was sent, with its query.
        headers: name in lower case -> value.
    """

    method: str
    path: str
    headers: Mapping[str, str]


def resigned(request: Request, sessions: Mapping[str, tuple[str, str]]) -> Mapping[str, str] | None:
    """The headers that it is forwarded with; None where it shows no token, and goes on as it is.

    Args:
        request: what was sent.
        sessions: token -> the access key and the secret that were given with it.

    Raises:
        Refused: the token was never given, belongs to another key, or the signature is wrong.
    """
    token = request.headers.get(TOKEN)
    if token is None:
        return None
    told = _SIGNED.fullmatch(request.headers.get("authorization", ""))
    if told is None:
        raise Refused("AuthorizationHeaderMalformed")
    key, scope, names, signature = told.groups()
    known, secret = sessions.get(token, ("", ""))
    if known != key:
        raise Refused("InvalidToken")
    signed = names.split(";")
    if TOKEN not in signed or not hmac.compare_digest(_signature(request, scope, signed, secret), signature):
        raise Refused("SignatureDoesNotMatch")
    signed.remove(TOKEN)
    headers = {name: value for name, value in request.headers.items() if name != TOKEN}
    anew = _signature(request, scope, signed, secret)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={anew}"
    )
    return headers


def _signature(request: Request, scope: str, signed: Sequence[str], secret: str) -> str:
    parts = urlsplit(request.path)
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    canonical = "\n".join(
        [
            request.method,
            parts.path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            request.headers.get("x-amz-content-sha256", ""),
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), scope, _digest(canonical)])
    derived = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return hmac.digest(derived, text.encode(), "sha256").hex()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
