# SPDX-License-Identifier: Apache-2.0
"""kubeconform, built from its published module, with the schemas that Kubernetes publishes in its own (kube/go.mod of
tests/interop pins it): those that kubeconform would download come from them."""
import json
import os
import subprocess

import chart
import go_build

HERE = os.path.dirname(os.path.abspath(__file__))
KUBE = chart.TREE + "/tests/interop/kube"
_ANYTHING = {"int-or-string": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def program(folder):
    """Path of kubeconform below `folder`. Raises go_build.Missing."""
    return go_build.built(HERE + "/kubeconform", folder, "kubeconform",
                          "github.com/yannh/kubeconform/cmd/kubeconform")


def _definitions():
    with open(go_build.module(KUBE, "k8s.io/kubernetes") + "/api/openapi-spec/swagger.json") as file:
        return json.load(file)["definitions"]


def _strict(schema):
    """As JSON Schema: no field that is not described, and what OpenAPI says in words."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") in _ANYTHING:
        return _ANYTHING[schema["format"]]
    out = {name: _strict(value) for name, value in schema.items() if not name.startswith("x-") and name != "format"}
    if isinstance(schema.get("properties"), dict):
        out.setdefault("additionalProperties", False)
    return out


def _named(value):
    """Names of the definitions that a schema refers to."""
    if isinstance(value, list):
        return {name for one in value for name in _named(one)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rsplit("/", 1)[1]} if isinstance(value.get("$ref"), str) else set()
    return own | {name for one in value.values() for name in _named(one)}


def write_schemas(folder, kinds):
    """A file for each (group, version, kind), named as kubeconform names them."""
    definitions = _definitions()
    definitions[_QUANTITY] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    by_kind = {(one["group"], one["version"], one["kind"]): name for name, schema in definitions.items()
               for one in schema.get("x-kubernetes-group-version-kind", ())}
    for group, version, kind in kinds:
        wanted, reached = {by_kind[group, version, kind]}, {}
        while wanted:
            name = wanted.pop()
            reached[name] = _strict(definitions[name])
            wanted |= _named(reached[name]) - set(reached)
        top = f"#/definitions/{by_kind[group, version, kind]}"
        suffix = "-".join(part for part in (kind.lower(), group.split(".")[0], version) if part)
        with open(f"{folder}/{suffix}.json", "w") as file:
            json.dump({"$ref": top, "definitions": reached}, file)


def run(path, folder, manifest):
    """(exit status, what it says) of a manifest's text."""
    done = subprocess.run([path, "-strict", "-summary", "-output", "json", "-schema-location",
                           folder + "/{{ .ResourceKind }}{{ .KindSuffix }}.json", "-"],
                          input=manifest, capture_output=True, text=True, check=False, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    return done.returncode, done.stdout + done.stderr
