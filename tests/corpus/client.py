# SPDX-License-Identifier: Apache-2.0
"""One case: plants its keys, runs the real client on the stage, and keeps what the watchers and the cloud saw of it."""
import json
import os
import re
import shutil
import subprocess
import time

from stage.world import PATH, PYTHON, die_with_runner

import keys

HERE = os.path.dirname(os.path.abspath(__file__))
ENTER = os.path.dirname(HERE) + "/system/stage/enter.py"
_NAME = re.compile(r"\$\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)\}")


class Case:
    def __init__(self, spec, world, maker, clients):
        self.spec, self.name, self.world, self.clients = spec, spec["name"], world, clients
        self.folder = f"{world.dir}/{self.name}"
        os.makedirs(self.folder + "/tmp")
        options = {name: one if isinstance(one, dict) else {"kind": one}
                   for name, one in (spec.get("keys") or {}).items()}
        self.keys = {name: maker.make(name, **one) for name, one in options.items()}
        for name, kind in keys.ISSUED.items():
            self.keys["issued." + name] = maker.make("issued." + name, kind)
        self.words = {"clients": clients, "programs": HERE + "/programs", "python": clients + "/venv/bin/python",
                      "reads": world.dir + "/reads.so"}

    def fill(self, text):
        """Puts the keys of this run into a text of the case: ${name} is the secret, ${name.id} and the like are its
        fields."""
        def value(found):
            name, _, field = found[1].partition(".")
            return self.words[found[1]] if found[1] in self.words else self.keys[name][field or "secret"]
        return _NAME.sub(value, str(text))

    def place(self, text):
        text = self.fill(text)
        return "/root" + text[1:] if text.startswith("~") else text

    def _plant(self):
        """{top folder: what it is filled from}, and which keys each planted path holds."""
        trees, self.planted = {"/root": self.folder + "/trees/root"}, {}
        os.makedirs(trees["/root"])
        for one in self.spec.get("files") or []:
            path = self.place(one["path"])
            top = "/" + path.split("/")[1]
            real = trees.setdefault(top, f"{self.folder}/trees{top}") + path[len(top):]
            os.makedirs(os.path.dirname(real), exist_ok=True)
            if "link" in one:
                os.symlink(self.fill(one["link"]), real)
                continue
            text = self.fill(one["content"])
            with open(os.open(real, os.O_CREAT | os.O_WRONLY, int(str(one.get("mode", "600")), 8)), "w") as file:
                file.write(text)
            self.planted[path] = [name for name, key in self.keys.items() if key["secret"] in text
                                  or key.get("json") == text]
        return trees

    def _env(self):
        env = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "USER": "root", "LOGNAME": "root",
               "TMPDIR": self.folder + "/tmp", "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt"}
        return {**env, **{name: self.fill(value) for name, value in (self.spec.get("env") or {}).items()}}

    def _argv(self):
        run = self.spec["run"]
        argv = [self.fill(word) for word in run] if isinstance(run, list) else ["/bin/bash", "-c", self.fill(run)]
        return [argv[0] if argv[0].startswith("/") else shutil.which(argv[0], path=PATH), *argv[1:]]

    def run(self, processes, opens):
        """Runs it to its end. Afterwards: `code`, `processes`, `opens`, `requests`."""
        groups = self.world.group(self.name)
        trees = self._plant()
        self.argv = self._argv()
        plan = {"argv": self.argv, "env": self._env(), "cwd": "/root", "uid": 0, "netns": self.world.netns,
                "trees": trees, "binds": self.world.binds(), "mount_of": 0, "cgroups": groups,
                "login_uid": None}
        keys_path, plan_path = self.folder + "/keys", self.folder + "/plan"
        for path, what in ((keys_path, {"name": self.name, "group": groups[0], "keys": list(self.keys.values())}),
                           (plan_path, plan)):
            # for others too, or it is shaped like a secret itself and the stage's own reading of it is found
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644), "w") as file:
                json.dump(what, file)
        self.world.command("case " + keys_path)
        opens.taken()
        begin_ns = time.time_ns()
        self.code = self._execute(plan_path, list(trees), processes, opens)
        self.left = self.world.clear(groups)
        time.sleep(0.15)  # the watchers' last events
        self.processes, self.opens = processes.taken(), opens.taken()
        self.requests = [row for row in self.world.truth(begin_ns) if row["kind"] == "request"
                         and row["case"] == self.name]
        shutil.rmtree(self.folder + "/trees")
        os.unlink(keys_path)
        os.unlink(plan_path)

    def _execute(self, plan_path, tops, processes, opens):
        ready_read, ready_write = os.pipe()
        go_read, go_write = os.pipe()
        with open(self.folder + "/out", "wb") as out, open(self.folder + "/err", "wb") as err:
            process = subprocess.Popen([PYTHON, "-I", ENTER, plan_path, str(ready_write), str(go_read)],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd="/", env={"PATH": PATH},
                                       pass_fds=(ready_write, go_read), start_new_session=True,
                                       preexec_fn=die_with_runner)
        os.close(ready_write)
        os.close(go_read)
        if os.read(ready_read, 1) == b"r":
            processes.follow(process.pid)  # what prepared the case is no part of it
            for top in tops:
                opens.mark(f"/proc/{process.pid}/root{top}")
            # On a machine the mounts outlive a process; here they would go with the case's last one, before anybody
            # could look at a file of theirs.
            keeper = subprocess.Popen(["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "sleep", "infinity"],
                                      stdin=subprocess.DEVNULL, preexec_fn=die_with_runner)
            self.world.keepers.append(keeper)
            os.write(go_write, b"g")
        os.close(ready_read)
        os.close(go_write)
        try:
            return process.wait(self.spec.get("timeout", 60))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "timeout"

    def errors(self):
        with open(self.folder + "/err", errors="replace") as file:
            return file.read()[-1500:]
