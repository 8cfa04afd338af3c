"""JSON web tokens: by which key each is verified, and what it claims.

The configured key alone says which algorithm verifies: a token's header has no say, but for the
name of its key (``kid``) in a set of them.
"""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt

from cdb.errors import BadName, BadSettings, NotAuthenticated
from cdb.rights import Rights

if TYPE_CHECKING:
    from cdb.web.settings import Settings

# Longer than any token with the rights of a person; longer ones are not even looked at.
LONGEST = 8192
# Clocks of the issuer and ours may differ by so much [s].
LEEWAY = 30
CLAIM = "cdb"


class Key(NamedTuple):
    """A key, and the one algorithm that it is for."""

    key: Any
    algorithm: str


class Claims(NamedTuple):
    """What a token claims, verified.

    Attributes
    ----------
    subject : str
        Whose it is.
    rights : Rights
        What its claim ``cdb`` says.
    until : float
        From when on it has to be verified again, for it has expired [Unix seconds].
    """

    subject: str
    rights: Rights
    until: float


@dataclass(frozen=True)
class Keys:
    """By which tokens are verified.

    Attributes
    ----------
    keys : mapping of str to Key
        By their names; a single one has the name "".
    issuer, audience : str
        What a token has to say; not asked for if empty.
    """

    keys: Mapping[str, Key]
    issuer: str = ""
    audience: str = ""

    def verify(self, token: str) -> Claims:
        """Return what a token claims.

        Raises
        ------
        NotAuthenticated
            If it is not a token of this issuer, for this audience, at this time.
        """
        if len(token) > LONGEST:
            raise NotAuthenticated(f"the token is longer than {LONGEST} characters; get another")
        try:
            key = self._key_of(token)
            payload = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self.audience or None,
                issuer=self.issuer or None,
                leeway=LEEWAY,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotAuthenticated("the token has expired; get another") from None
        except jwt.InvalidAudienceError:
            raise NotAuthenticated("the token is for another service; get one for this") from None
        except jwt.InvalidIssuerError:
            raise NotAuthenticated("the token is of another issuer; get one of ours") from None
        except jwt.MissingRequiredClaimError as error:
            raise NotAuthenticated(f"the token claims no {error.claim}; get another") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            # What exactly was wrong would help only who forges.
            raise NotAuthenticated("the token is not valid here; get another") from None
        return _claims_of(payload)

    def _key_of(self, token: str) -> Key:
        if "" in self.keys:
            return self.keys[""]
        name = jwt.get_unverified_header(token).get("kid")
        if name is None and len(self.keys) == 1:
            return next(iter(self.keys.values()))
        if not isinstance(name, str) or name not in self.keys:
            raise NotAuthenticated("the token is signed with a key that is not known here")
        return self.keys[name]


def _claims_of(payload: Mapping[str, Any]) -> Claims:
    from cdb.tokens import check_subject

    try:
        subject = check_subject(payload["sub"])
        rights = Rights.of(payload.get(CLAIM, {}))
    except BadName as error:
        raise NotAuthenticated(f"the token's claims cannot be used: {error}") from None
    return Claims(subject, rights, min(int(payload["exp"]) + LEEWAY, time.time() + 3600))


def of(settings: "Settings") -> Keys | None:
    """Return the keys that are configured, None if none are.

    Raises
    ------
    BadSettings
        If a file cannot be read or its keys are of no use.
    """
    keys: dict[str, Key] = {}
    if settings.jwt_secret:
        keys = {"": Key(settings.jwt_secret.encode(), "HS256")}
    elif settings.jwt_public_key_file:
        keys = {"": _pem(settings.jwt_public_key_file)}
    elif settings.jwt_jwks_file:
        keys = _jwks(settings.jwt_jwks_file)
    return Keys(keys, settings.jwt_issuer, settings.jwt_audience) if keys else None


def _pem(path: str) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _read(path)
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        private = "PRIVATE KEY" in text
        raise BadSettings(
            f"{path} holds a private key; keep that where tokens are made, and name the public one"
            if private
            else f"{path} holds no public key in PEM form"
        ) from None
    return _fitting(key, path)


def _fitting(key: Any, path: str) -> Key:
    """Return a key with its algorithm."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return Key(key, "RS256")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return Key(key, "ES256")
    raise BadSettings(
        f"{path} holds a public key that cannot be used; it must be RSA of 2048 bits at least "
        "(RS256) or elliptic on P-256 (ES256)"
    )


def _jwks(path: str) -> dict[str, Key]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = jwt.PyJWKSet.from_json(_read(path)).keys
    except (jwt.PyJWTError, ValueError, AttributeError, TypeError):
        raise BadSettings(f"{path} is no JWKS file: it holds no keys that can be used") from None
    if any(key.key_type == "oct" for key in found):
        raise BadSettings(f"{path} holds a secret; a JWKS file here is of public keys alone")
    # PyJWT keeps public and private keys apart by type; only the former verify here.
    keys = {key.key_id or str(number): _fitting(key.key, path) for number, key in enumerate(found)}
    if len(keys) < len(found):
        raise BadSettings(f"{path} holds two keys of one name (kid); give each its own")
    return keys


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadSettings(f"the key's file {path} cannot be read: {why}") from None
