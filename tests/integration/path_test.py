"""Paths that let small datagrams through and not those of content whole."""
import os
import shutil
import subprocess
import sys
import unittest

from harness import LabTest, main, make_file, sha256

# A network of its own whose loopback has this MTU. Nobody has to be root for that where user namespaces are allowed.
SMALL = 1200
SETUP = f"ip link set lo mtu {SMALL} up"


def small_network():
    return shutil.which("unshare") and shutil.which("ip") and subprocess.run(
        ["unshare", "-rn", "sh", "-c", SETUP], capture_output=True, check=False
    ).returncode == 0


class Inside(LabTest):
    """What runs in that network."""

    def get_gets_it_in_fragments(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("film"), 300000)
        uri = lab.publish(source, "--public")
        lab.get_good(uri, "alice", self.path("out"), "--stall-timeout", "20")
        self.assertEqual(sha256(self.path("out")), sha256(source))


class Path(LabTest):
    @unittest.skipUnless(small_network(), "no network namespaces here")
    def test_mtu_below_a_chunk(self):
        command = f"{SETUP} && exec '{sys.executable}' '{os.path.abspath(__file__)}' Inside.get_gets_it_in_fragments"
        ended = subprocess.run(["unshare", "-rn", "sh", "-c", command], capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)


if __name__ == "__main__":
    main()
