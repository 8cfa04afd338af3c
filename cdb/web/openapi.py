"""The OpenAPI document, made of the table that serves the endpoints: neither can forget a part."""

import re
from collections.abc import Sequence
from typing import Any

import cdb
from cdb.web.endpoints import Endpoint
from cdb.web.requests import Parameter

_SAYS = {
    400: "What was asked or sent cannot be understood.",
    401: "Nobody in particular asks, and somebody is needed.",
    403: "The one who asks may not.",
    404: "No such thing.",
    405: "No such method here.",
    409: "As things are, this cannot be done.",
    410: "The bytes were purged.",
    413: "Too large.",
    416: "The payload has no such range.",
    422: "What was sent is no document or payload.",
    429: "Too often.",
    500: "The store is damaged, or a fault of ours.",
    502: "The store does not answer.",
    507: "The store is full.",
}
# What any endpoint may answer.
_ALWAYS = (429, 500, 502)
_IN_PATH = re.compile(r"{(\w+)}")
_PATH_PARAMETERS = {
    "id": ("Of a version.", "^[0-9a-f]{24}$", "6156c0000000070123456789"),
    "database": ("With its prefix.", "^cdb_[A-Za-z0-9_-]{1,34}$", "cdb_rixx45619"),
    "tag": (
        "Name of a tag; name#revision, name@server.",
        "^[A-Za-z][A-Za-z0-9._-]{0,63}(#[0-9]+)?(@[0-9a-f]{8,64})?$",
        "summer26",
    ),
    "sha256": (
        "Digest of the payload, hexadecimal; or the id of bytes that another program stored.",
        "^([0-9a-f]{24}|[0-9a-f]{64})$",
        "9d908ecfb6b256def8b49a7c504e6c889c4b0e41fe6ce3e01863dd7b61a20aa0",
    ),
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of endpoints."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cdb",
            "version": cdb.__version__,
            "description": "Calibration constants of X-ray detectors.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": {str(status): _failure(says) for status, says in _SAYS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Reading may be open to all.
        "security": [{}, {"token": []}],
    }


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the document says of one endpoint."""
    made: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": "_".join(
            [endpoint.method.lower(), *re.findall(r"\w+", endpoint.path.removeprefix("/v1"))]
        ),
        "parameters": [
            *(_in_path(name) for name in _IN_PATH.findall(endpoint.path)),
            *(_parameter(parameter, "query") for parameter in endpoint.parameters),
            *(_parameter(parameter, "header") for parameter in endpoint.headers),
        ],
        "responses": _answers(endpoint),
    }
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": endpoint.body.schema}
        if endpoint.body.example is not None:
            content["example"] = endpoint.body.example
        made["requestBody"] = {"required": True, "content": {endpoint.body.type: content}}
    return made


def _answers(endpoint: Endpoint) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "string"}}
    if endpoint.answer is not None:
        content = {"schema": {"type": "object"}, "example": endpoint.answer}
    good: dict[str, Any] = {"description": "Done.", "content": {endpoint.answer_type: content}}
    found = {"200": good}
    if endpoint.method == "POST" and endpoint.path == "/v1/constants":
        found["201"] = good
    if endpoint.answer_type == "application/octet-stream":
        found["206"] = {**good, "description": "The range that was asked for."}
        found["304"] = {"description": "The caller has it already."}
    # A parameter nobody knows is refused everywhere.
    for status in sorted({400, *endpoint.errors, *_ALWAYS}):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _parameter(parameter: Parameter, where: str) -> dict[str, Any]:
    made = {
        "name": parameter.name,
        "in": where,
        "description": parameter.says,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    return made if parameter.example is None else made | {"example": parameter.example}


def _in_path(name: str) -> dict[str, Any]:
    says, pattern, example = _PATH_PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "description": says,
        "required": True,
        "schema": {"type": "string", "pattern": pattern},
        "example": example,
    }


_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "Name of an exception of cdb.errors."},
                "message": {"type": "string", "description": "What was wrong, and what to do."},
            },
            "required": ["code", "message"],
        },
        "server": {"type": "string", "description": "Whose state was looked at, of 404, 409, 410."},
        "seq": {"type": "integer", "description": "S, that state."},
    },
    "required": ["error"],
}


def _failure(says: str) -> dict[str, Any]:
    example = {"error": {"code": "NotFound", "message": "no version 6156c0 is known"},
               "server": "9f2c...", "seq": 42}  # fmt: skip
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}
    return {"description": says, "content": {"application/json": content}}
