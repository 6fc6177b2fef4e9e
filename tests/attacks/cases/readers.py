# SPDX-License-Identifier: Apache-2.0
"""Attacks on who reads the answers, and by who may not read them. Right: the answers hold no control characters, and
strangers are refused."""
import os
import shutil

from attack import CREDENTIALS, HERE, NAMED, PYTHON, THIEF, Attack, Right

STRANGER = HERE + "/stranger.py"
HOSTILE = "x\x1b]0;owned\x07\x1b[2J\n{\"a\":1}\u202e\udcff"  # a title, a cleared screen, a line, an end of the text


class Texts(Attack):
    def answers(self, rows):
        """What is wrong with the texts that people get, beside the rows."""
        agent = self.agent
        for words in (["uses", self.key.id], ["keys"], ["workloads"], ["key", self.key.id, "--readers"],
                      ["uses", self.key.id, "-o", "json"]):
            _, text = agent.cli(*words)  # fails if it is not UTF-8
            if bad := {char for char in text if (ord(char) < 32 and char != "\n") or 0x7f <= ord(char) < 0xa0
                       or char in "\u202e\u200f\u2067"}:
                return [f"`keytrail {' '.join(words)}` shows {sorted(map(repr, bad))}"]
        return Right(taken=True, used=NAMED).faults(self, rows)

    def attack_path_that_drives_a_terminal(self):
        place = f"{HOSTILE}/.aws/credentials"
        self.more[place] = (self.key.profile(), 0o600)
        self.thief("take", "open", "/srv/" + place, "out", "plain", self.host)
        return self.answers

    def attack_program_whose_name_drives_a_terminal(self):
        program = f"{self.folder}/{HOSTILE.replace('/', '')}"
        shutil.copy(os.path.realpath(PYTHON), program)
        self.thief("take", "open", CREDENTIALS, "out", "plain", self.host, program=program)
        return self.answers

    def attack_process_name_that_drives_a_terminal(self):
        code = (f"import ctypes, runpy, sys; ctypes.CDLL(None).prctl(15, {os.fsencode(HOSTILE)[:15]!r}, 0, 0, 0); "
                "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
        self.start([PYTHON, "-I", "-c", code, THIEF, "take", "open", CREDENTIALS, "out", "plain", self.host],
                   binds=self.disk())
        return self.answers


def asks(way):
    def attack(self):
        self.start([PYTHON, "-I", STRANGER, way, self.agent.socket])
        return Right()  # a stranger who is answered does not end well
    return attack


class Strangers(Attack):
    attack_question_of_another_user = asks("nobody")
    attack_question_of_root_of_a_user_namespace = asks("namespace_root")
    attack_question_of_root_in_a_container = asks("container")
