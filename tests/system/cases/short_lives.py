# SPDX-License-Identifier: Apache-2.0
"""Programs that end before their events are looked at, alone in mounts that end with them."""
from case import SystemCase
from rows import FINGERPRINT, Acquisition
from stage.world import PYTHON


class ShortLives(SystemCase):
    def test_what_it_read_outlives_it(self):
        self.plant(".netrc", f"machine api.github.com login x password {self.maker.github()}\n")
        # its exec is seen in time on a busy machine too, its read is not
        self.start([PYTHON, "-I", "-c", "import time; time.sleep(0.3); open('/root/.netrc').read()"]).wait()
        self.expect([Acquisition("file", "/root/.netrc", FINGERPRINT, kind="github.token", lifetime="unknown",
                                 selector="api.github.com")])
