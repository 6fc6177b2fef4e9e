# SPDX-License-Identifier: Apache-2.0
"""Key files at no known place: what they hold says what they are."""
from case import S3, SystemCase
from rows import Acquisition, Use


class FreePath(SystemCase):
    def test_a_file_with_a_keys_name_is_known_by_its_content(self):
        key = self.maker.aws()
        self.plant("srv/app/credentials", key.profile())
        self.actor("read", "/root/srv/app/credentials", "call", S3).wait()
        self.expect([Acquisition("file", "/root/srv/app/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_file_with_a_keys_name_and_no_key_is_no_row(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.plant("srv/app/token", "a list of words that is no token\n", mode=0o644)
        self.actor("read", "/root/srv/app/token", "read", "/root/.aws/credentials", "call", S3).wait()
        self.expect([Acquisition("file", "/root/.aws/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])
