# SPDX-License-Identifier: Apache-2.0
"""Helm, built once per version of helm/go.mod from its published modules, and what it makes of the chart."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [TREE + "/tests/system", TREE + "/tests/interop"]
import go_build  # noqa: E402

CHART = TREE + "/packaging/helm/keytrail"
PLAIN = TREE + "/packaging/kubernetes/keytrail.yaml"
KUBERNETES = "36"  # minor version that the chart is rendered for
HEAD = """# SPDX-License-Identifier: Apache-2.0
# Keytrail on every node without Helm: kubectl apply -f keytrail.yaml, after image: was set to your registry's.
# Made from packaging/helm/keytrail (profile standard) by tests/packaging/run.py --write; do not edit.
apiVersion: v1
kind: Namespace
metadata:
  name: keytrail
  labels:
    # The agent needs hostPID and hostPath.
    pod-security.kubernetes.io/enforce: privileged
"""


def helm(folder):
    """Path of helm below `folder`, of the version in helm/go.mod. Raises go_build.Missing."""
    minor = " ".join(f"-X helm.sh/helm/v3/pkg/{package}.k8sVersionM{part}"
                     for package in ("chartutil", "lint/rules") for part in ("ajor=1", "inor=" + KUBERNETES))
    return go_build.built(HERE + "/helm", folder, "helm", "helm.sh/helm/v3/cmd/helm", "-s -w " + minor, seconds=1500)


def run(program, *words, values=None):
    """Runs Helm; `values` is YAML for the chart. (exit status, output, errors)"""
    done = subprocess.run([program, *words, *(["-f", "-"] if values is not None else [])], capture_output=True,
                          text=True, timeout=120, input=values, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "HELM_NO_PLUGINS": "1"})
    return done.returncode, done.stdout, done.stderr


def rendered(program, values="", name="keytrail"):
    code, out, errors = run(program, "template", name, CHART, "--namespace", "keytrail", values=values)
    if code:
        raise RuntimeError(errors)
    return out


def plain(program):
    """packaging/kubernetes/keytrail.yaml as it should be: nothing in it belongs to Helm."""
    text = rendered(program).replace("app.kubernetes.io/managed-by: Helm\n", "app.kubernetes.io/managed-by: kubectl\n")
    return HEAD + re.sub(r"# Source: \S+\n", "", text)


def write(program):
    os.makedirs(os.path.dirname(PLAIN), exist_ok=True)
    with open(PLAIN, "w") as file:
        file.write(plain(program))
    print("written: " + PLAIN, file=sys.stderr)
