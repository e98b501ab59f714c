"""Paths that let small datagrams through and not those of content: found, named, and no reason to wait for ever."""
import os
import shutil
import subprocess
import unittest

from harness import LabTest, SEALCAST, main, make_file

# A network of its own whose loopback has this MTU. Nobody has to be root for that where user namespaces are allowed.
SMALL = 1200


def small_network():
    return shutil.which("unshare") and shutil.which("ip") and subprocess.run(
        ["unshare", "-rn", "ip", "link", "set", "lo", "mtu", str(SMALL), "up"], capture_output=True, check=False
    ).returncode == 0


class Path(LabTest):
    @unittest.skipUnless(small_network(), "no network namespaces here")
    def test_mtu_below_a_chunk_is_named(self):
        lab = self.path("small")
        file = make_file(self.path("film"), 300000)
        script = f"""
            set -u
            ip link set lo mtu {SMALL} up
            '{SEALCAST}' up --state '{lab}' --log warning >'{lab}.up' 2>&1 & up=$!
            for i in $(seq 200); do '{SEALCAST}' status --state '{lab}' >/dev/null 2>&1 && break; sleep 0.1; done
            '{SEALCAST}' subscriber add alice --state '{lab}' >/dev/null
            uri=$('{SEALCAST}' publish '{file}' --public --state '{lab}')
            timeout 100 '{SEALCAST}' get "$uri" --as alice -o '{lab}.out' --stall-timeout 20 --state '{lab}'
            code=$?
            kill $up; wait $up
            exit $code
        """
        ended = subprocess.run(["unshare", "-rn", "bash", "-c", script], capture_output=True, text=True, check=False,
                               timeout=170)
        self.assertEqual(ended.returncode, 5, ended.stdout + ended.stderr)
        self.assertIn("MTU", ended.stderr)


if __name__ == "__main__":
    main()
