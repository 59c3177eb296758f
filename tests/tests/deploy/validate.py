"""Reads Kubernetes documents, holds each against its schema and prints what is wrong, a line each.

Kinds of Kubernetes: the JSON schemas of each version named in the arguments, where unknown fields are wrong too.
Custom resources: models made from their definitions; what a model did not take in, it does not know.
"""

import importlib
import sys

import kubernetes_validate
import yaml

MODELS = {
    "cert-manager.io/v1": "cloudcoil.models.cert_manager.v1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}


def differences(given, taken, path=""):
    if isinstance(given, dict) and isinstance(taken, dict):
        for key, value in given.items():
            if key in taken:
                yield from differences(value, taken[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is unknown"
    elif isinstance(given, list) and isinstance(taken, list) and len(given) == len(taken):
        for at, (one, other) in enumerate(zip(given, taken)):
            yield from differences(one, other, f"{path}[{at}]")
    elif given != taken:
        yield f"{path}: {given!r} was read as {taken!r}"


def problems(document, versions):
    model = MODELS.get(document["apiVersion"])
    try:
        if model:
            kind = getattr(importlib.import_module(model), document["kind"])
            taken = kind.model_validate(document).model_dump(mode="json", by_alias=True, exclude_unset=True)
            yield from differences(document, taken)
        else:
            for version in versions:
                kubernetes_validate.validate(document, version, strict=True)
    except Exception as error:  # whatever it is, the document did not pass
        yield " ".join(str(error).split())[:500]


for document in yaml.safe_load_all(sys.stdin):
    for problem in problems(document, sys.argv[1:]):
        print(f"{document['kind']} {document['metadata']['name']}: {problem}")
