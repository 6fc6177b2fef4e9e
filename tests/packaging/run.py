#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the image, the chart and the plain manifests: tests/packaging/run.py --build DIR [--only PATTERN] [--write]
  --write  makes packaging/kubernetes/keytrail.yaml anew, and ends

The last line is "N passed, N failed, N skipped"."""
import argparse
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

import chart
import conform
import yaml

IMAGE = ("/usr/bin/python3", chart.TREE + "/packaging/image/image.py")
PROFILES = ("minimal", "standard", "full")


class Options:
    build = chart.TREE + "/build"


class Image(unittest.TestCase):
    """What packaging/image makes of the built executables."""
    made = None

    @classmethod
    def make(cls, name, **environment):
        done = subprocess.run([*IMAGE, "--build", Options.build, "--output", name, "--debug", name + ".debug", "--tag",
                               "registry.example/keytrail:test"], capture_output=True, text=True, check=False,
                              timeout=600, env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000", **environment})
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def setUp(self):
        if Image.made is None:
            Image.folder = tempfile.TemporaryDirectory()
            Image.made = Image.folder.name + "/image.tar"
            Image.said = self.make(Image.made)
        self.layout = tarfile.open(Image.made)
        self.addCleanup(self.layout.close)
        index = json.load(self.layout.extractfile("index.json"))["manifests"][0]
        self.assertEqual(index["annotations"]["io.containerd.image.name"], "registry.example/keytrail:test")
        self.manifest = json.loads(self.blob(index))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.files = {}
        for layer in self.manifest["layers"]:
            tar = tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.blob(layer))))
            self.addCleanup(tar.close)
            self.files.update({member.name: (tar, member) for member in tar})

    def blob(self, described):
        return self.layout.extractfile("blobs/" + described["digest"].replace(":", "/")).read()

    def text(self, name):
        tar, member = self.files[name]
        return tar.extractfile(member).read().decode()

    def test_the_same_input_is_the_same_bytes(self):
        again = Image.made + ".again"
        self.make(again, TZ="Asia/Tokyo", LC_ALL="C.UTF-8", PYTHONHASHSEED="7")
        for suffix in ("", ".debug"):
            with open(Image.made + suffix, "rb") as one, open(again + suffix, "rb") as two:
                self.assertEqual(one.read(), two.read())

    def test_it_is_small(self):
        packed = sum(layer["size"] for layer in self.manifest["layers"])
        unpacked = sum(member.size for _, member in self.files.values())
        print(f"image: {packed / 1e6:.1f} MB packed, {unpacked / 1e6:.1f} MB unpacked", file=sys.stderr)
        self.assertLess(packed, 60e6)
        self.assertLess(unpacked, 60e6)

    def test_nothing_in_it_is_a_shell_or_gives_rights(self):
        programs = sorted(name for name, (_, member) in self.files.items()
                          if member.mode & 0o111 and member.isfile() and ".so" not in name)
        self.assertEqual(programs, [f"usr/lib/keytrail/{name}" for name in (
            "keytrail", "keytrail-examiner", "keytrail-warden")])
        for name, (_, member) in self.files.items():
            self.assertEqual((member.uid, member.gid), (0, 0), name)
            self.assertEqual(0 if member.issym() else member.mode & 0o7022, 0, name)
            self.assertNotIn("security.capability", str(member.pax_headers), name)
            self.assertEqual(member.mtime, 1790000000, name)

    def test_every_library_is_there_with_its_licence(self):
        have = {os.path.basename(name) for name in self.files}
        needed = set()
        for name, (tar, member) in self.files.items():
            if not member.isfile() or not (name.startswith("usr/lib/keytrail/") or ".so" in name):
                continue
            with tempfile.NamedTemporaryFile() as file:
                file.write(tar.extractfile(member).read())
                file.flush()
                said = subprocess.run(["llvm-readelf-19", "-d", "-S", file.name], capture_output=True, text=True,
                                      check=True).stdout
            needed.update(re.findall(r"NEEDED.*\[(.+)\]", said))
            self.assertNotIn(".debug_info", said, name)
        self.assertEqual(needed - have, set())
        packages = {os.path.basename(name) for name in self.files if name.startswith("var/lib/dpkg/status.d/")}
        self.assertIn("libc6", packages)
        for package in packages - {"status.d"}:
            self.assertIn(f"usr/share/doc/{package}/copyright", self.files)
        self.assertIn("usr/share/doc/keytrail/LICENSE", self.files)

    def test_its_users_and_its_configuration(self):
        users = {line.split(":")[0]: line.split(":")[2:4] for line in self.text("etc/passwd").splitlines()}
        self.assertEqual(users["keytrail"], ["64791"] * 2)
        self.assertEqual(users["keytrail-examiner"], ["64792"] * 2)
        run = self.config["config"]
        self.assertEqual((run["Entrypoint"], run["StopSignal"]), (["/usr/lib/keytrail/keytrail-warden"], "SIGTERM"))
        for name in ("title", "version", "licenses", "created"):
            self.assertTrue(run["Labels"]["org.opencontainers.image." + name])
        self.assertGreater(self.text("etc/ssl/certs/ca-certificates.crt").count("BEGIN CERTIFICATE"), 100)

    def test_a_wrong_call_says_what_to_do(self):
        for words, said in ((["--tag", "Not A Name"], "no image name"), (["--build", "/nonexistent"], "is not in")):
            done = subprocess.run([*IMAGE, "--build", Options.build, "--output", "/nonexistent/x", *words],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)


class Chart(unittest.TestCase):
    def setUp(self):
        try:
            self.helm = chart.helm(Options.build)
        except chart.go_build.Missing as why:
            self.skipTest(str(why))

    def objects(self, values=""):
        return {f"{one['kind']}/{one['metadata']['name']}": one
                for one in yaml.safe_load_all(chart.rendered(self.helm, values)) if one}

    def test_lint(self):
        code, out, errors = chart.run(self.helm, "lint", "--strict", chart.CHART)
        self.assertEqual(code, 0, out + errors)

    def test_profiles_have_the_rights_that_they_name(self):
        rules = {}
        for profile in PROFILES:
            found = self.objects(f"profile: {profile}")
            roles = [one for name, one in found.items() if name.startswith("ClusterRole/")]
            rules[profile] = [(rule["resources"], rule["verbs"]) for role in roles for rule in role["rules"]]
            pod = found["DaemonSet/keytrail"]["spec"]["template"]["spec"]
            self.assertEqual(pod["automountServiceAccountToken"], profile != "minimal")
            self.assertEqual("Service/keytrail-metrics" in found, profile == "full")
        self.assertEqual(rules["minimal"], [])
        self.assertEqual(rules["standard"],
                         [(["pods"], ["list", "watch"]), (["replicasets", "statefulsets", "daemonsets"], ["get"]),
                          (["jobs"], ["get"])])
        self.assertEqual(rules["full"], rules["standard"])

    def test_the_agent_takes_each_configuration(self):
        for values in (*(f"profile: {one}" for one in PROFILES),
                       "otlp: [{name: main, endpoint: 'https://c.example', headers: {a: '${file:/etc/s/x}'}}]",
                       "collector: {enabled: true, image: x}", "config: {log: {level: debug}}",
                       "kubernetes: {labels: [app]}"):
            config = self.objects(values)["ConfigMap/keytrail"]["data"]["keytrail.yaml"]
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(config)
                file.flush()
                done = subprocess.run([Options.build + "/bin/keytrail", "config", "check", file.name],
                                      capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 0, (values, config, done.stdout, done.stderr))

    def test_values_change_what_they_say(self):
        found = self.objects("""
socket: {groupId: 0}
catalog: {mine.yaml: "kinds: []"}
otlpSecret: collector-token
securityContext: {extraCapabilities: [FOWNER], appArmorProfile: {type: Unconfined}, seLinuxOptions: {type: spc_t}}
metrics: {enabled: true, podMonitor: {enabled: true}}
networkPolicy: {enabled: true}
collector: {enabled: true, image: registry.example/otelcol:1}
image: {digest: "sha256:%s"}
extraArgs: [--no-feature=fentry]
""" % ("0" * 64))
        pod = found["DaemonSet/keytrail"]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertEqual(container["args"], ["--foreground", "--api-group=0", "--no-feature=fentry"])
        self.assertEqual(container["securityContext"]["capabilities"]["add"][-1], "FOWNER")
        self.assertTrue(container["image"].endswith("@sha256:" + "0" * 64))
        self.assertIn({"name": "otlp-secret", "mountPath": "/etc/keytrail-secrets", "readOnly": True},
                      container["volumeMounts"])
        self.assertEqual(pod["volumes"][0]["configMap"]["items"][1]["path"], "catalog.d/mine.yaml")
        self.assertLessEqual({"PodMonitor/keytrail", "NetworkPolicy/keytrail", "Deployment/keytrail-collector"},
                             set(found))
        self.assertIn("http://keytrail-collector.keytrail:4318", found["ConfigMap/keytrail"]["data"]["keytrail.yaml"])

    def test_wrong_values_are_refused_with_their_path(self):
        for values, place in (("profile: big", "/profile"), ("history: {maxMb: 1}", "/history/maxMb"),
                              ("image: {tagg: x}", "/image"), ("socket: {hostPath: relative}", "/socket/hostPath"),
                              ("otlp: [{name: a}]", "/otlp/0"), ("otlp: [{endpoint: 'ftp://x'}]", "/otlp/0/endpoint"),
                              ("securityContext: {extraCapabilities: [CAP_FOWNER]}", "/securityContext"),
                              ("metrics: {port: 0}", "/metrics/port"), ("nonsense: 1", "nonsense"),
                              ("config: {otlp: []}", "/config"), ("terminationGracePeriodSeconds: 1", "/termination"),
                              ("updateStrategy: {maxUnavailable: 0}", "/updateStrategy/maxUnavailable"),
                              ("catalog: {x.txt: y}", "/catalog"), ("cloud: off", "/cloud"),
                              ("collector: {enabled: true}", "collector.image"),
                              ("metrics: {podMonitor: {enabled: true}}", "metrics.podMonitor.enabled")):
            code, _, errors = chart.run(self.helm, "template", "k", chart.CHART, values=values)
            self.assertNotEqual(code, 0, values)
            self.assertIn(place, errors, values)

    def test_the_schema_knows_every_value(self):
        with open(chart.CHART + "/values.yaml") as file:
            values = yaml.safe_load(file)
        with open(chart.CHART + "/values.schema.json") as file:
            schema = json.load(file)
        self.assertEqual(set(values), set(schema["properties"]) - {"global"})

    def test_the_plain_manifests_are_fresh(self):
        with open(chart.PLAIN) as file:
            self.assertEqual(file.read(), chart.plain(self.helm), "make them anew: tests/packaging/run.py --write")


class Conform(unittest.TestCase):
    """kubeconform -strict on every object, with the schemas of the Kubernetes version that is tested against."""
    KINDS = [("", "v1", "Namespace"), ("", "v1", "ServiceAccount"), ("", "v1", "ConfigMap"), ("", "v1", "Service"),
             ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
             ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"), ("apps", "v1", "DaemonSet"),
             ("apps", "v1", "Deployment"), ("networking.k8s.io", "v1", "NetworkPolicy")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        try:
            self.helm, self.program = chart.helm(Options.build), conform.program(Options.build)
            conform.write_schemas(self.folder, self.KINDS)
        except chart.go_build.Missing as why:
            self.skipTest(str(why))

    def test_every_object_is_what_kubernetes_describes(self):
        with open(chart.PLAIN) as file:
            sets = [file.read()]
        sets += [chart.rendered(self.helm, f"profile: {profile}\n" + ApiServer.EVERYTHING) for profile in PROFILES]
        for text in sets:
            code, said = conform.run(self.program, self.folder, text)
            self.assertEqual(code, 0, said)
            self.assertRegex(said, r'"skipped": 0')

    def test_it_refuses_what_is_wrong(self):
        with open(chart.PLAIN) as file:
            text = file.read()
        for right, wrong in (("hostPID: true", "hostPid: true"), ("hostPID: true", "hostPID: perhaps"),
                             ("verbs: [get]", "verbs: get")):
            self.assertIn(right, text)
            code, said = conform.run(self.program, self.folder, text.replace(right, wrong, 1))
            self.assertEqual(code, 1, (wrong, said))
            self.assertIn("statusInvalid", said)


class ApiServer(unittest.TestCase):
    """A dry run of every object on the real kube-apiserver, unknown fields refused."""
    PLACES = {"Namespace": "/api/v1/namespaces", "ServiceAccount": "/api/v1/namespaces/keytrail/serviceaccounts",
              "ConfigMap": "/api/v1/namespaces/keytrail/configmaps", "Service": "/api/v1/namespaces/keytrail/services",
              "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
              "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
              "DaemonSet": "/apis/apps/v1/namespaces/keytrail/daemonsets",
              "Deployment": "/apis/apps/v1/namespaces/keytrail/deployments",
              "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/keytrail/networkpolicies"}
    EVERYTHING = """
networkPolicy: {enabled: true}
otlp: [{endpoint: "https://collector.example"}]
otlpSecret: token
collector: {enabled: true, image: registry.example/otelcol:1}
securityContext: {extraCapabilities: [FOWNER], appArmorProfile: {type: Unconfined}, seLinuxOptions: {type: spc_t}}
"""

    def setUp(self):
        import kube_server
        try:
            self.helm, programs = chart.helm(Options.build), kube_server.built(Options.build)
        except chart.go_build.Missing as why:
            self.skipTest(str(why))
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server = kube_server.KubeServer(programs, folder.name + "/kube")
        self.addCleanup(self.server.close)
        self.server.start()
        self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "keytrail"}})

    def test_it_takes_every_object(self):
        with open(chart.PLAIN) as file:
            sets = {"the plain manifests": file.read()}
        for profile in PROFILES:
            sets[profile] = chart.rendered(self.helm, f"profile: {profile}\n" + self.EVERYTHING)
        for name, text in sets.items():
            for one in yaml.safe_load_all(text):
                if one is None or one["kind"] == "Namespace":
                    continue  # made above; a second is refused
                with self.subTest(name, kind=one["kind"], name=one["metadata"]["name"]):
                    got = self.server.ask("POST", self.PLACES[one["kind"]] + "?dryRun=All&fieldValidation=Strict", one)
                    self.assertEqual(got["kind"], one["kind"])

    def test_it_refuses_what_is_wrong(self):
        """The dry run itself: a field of a wrong name is not passed over."""
        objects = yaml.safe_load_all(chart.rendered(self.helm))
        wrong = next(one for one in objects if one and one["kind"] == "DaemonSet")
        wrong["spec"]["template"]["spec"]["hostPid"] = True
        with self.assertRaisesRegex(Exception, "hostPid"):
            self.server.ask("POST", self.PLACES["DaemonSet"] + "?dryRun=All&fieldValidation=Strict", wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=Options.build)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    Options.build = os.path.abspath(options.build)
    if options.write:
        chart.write(chart.helm(Options.build))
        return 0
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    loader = unittest.TestLoader()
    loader.sortTestMethodsUsing = None
    for case in (one for group in (Image, Chart, Conform, ApiServer) for one in loader.loadTestsFromTestCase(group)):
        name = f"{type(case).__name__}.{case._testMethodName}"
        if options.only not in name:
            continue
        result, begin = unittest.TestResult(), time.monotonic()
        case.run(result)
        problems = [text for _, text in result.errors + result.failures]
        verdict = "FAIL" if problems else "skip" if result.skipped else "ok"
        counts[verdict] += 1
        print(f"{verdict:4} {time.monotonic() - begin:6.1f} s  {name}"
              + (f": {result.skipped[0][1]}" if verdict == "skip" else ""), flush=True)
        if problems:
            print("      " + "\n".join(problems).replace("\n", "\n      "), flush=True)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
