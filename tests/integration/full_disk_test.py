"""Full disks: small file systems of their own, in a mount namespace. What cannot be written is put off or said, is no
verdict about anybody or anything, and goes on when there is room again."""
import os
import shutil
import subprocess
import sys
import unittest

from harness import LabTest, main, make_file, sha256, wait_until

SIZE = 8 << 20
SLOW = ("--max-download-limit", "1M")


def may_mount():
    """Nobody has to be root for that where user namespaces are allowed."""
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") and subprocess.run(words, capture_output=True, check=False).returncode == 0


def small_disk(path, octets):
    """What is in the directory moves to a file system of this size."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    kept = path + ".kept"
    shutil.copytree(path, kept)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={octets},mode=700", "none", path], check=True)
    shutil.copytree(kept, path, dirs_exist_ok=True)
    shutil.rmtree(kept)


def fill(path):
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", buffering=0) as handle:
        for size in (1 << 16, 1):
            try:
                while True:
                    handle.write(b"x" * size)
            except OSError:
                pass
    return ballast


class Inside(LabTest):
    """What runs in that namespace."""

    def begun(self, *roles):
        lab = self.lab()
        lab.good("init")
        for role in roles:
            lab.role(role)
        lab.subscribers("alice")
        return lab

    def cache_is_full(self):
        lab = self.begun("core", "tracker")
        disk = os.path.join(lab.dir, "cache")
        small_disk(disk, 24 << 20)
        cache = lab.role("cache")
        socket = ("--socket", lab.socket())
        source = make_file(self.path("film"), 1 << 20)
        uri = lab.publish(source, "--entitle", "alice", *socket)
        ballast = fill(disk)
        for command in (("entitle", uri, "bob"), ("publish", make_file(self.path("more"), SIZE, 2), "--public")):
            refused = lab.run(*command, *socket)
            self.assertIn(refused.code, (9, 12), refused.err)
            self.assertRegex(refused.err, "(?i)full|free|no space|disk")
        self.assertEqual([each["root"] for each in lab.good("ls", "--json", *socket).json["contents"]].count(""), 0)
        # No key leaves without its line in the log, and that is no word about alice.
        alice = lab.start_get(uri, "alice", self.path("a"))
        wait_until("a key request to be put off", lambda: "audit: " in cache.errors())
        self.assertTrue(alice.running(), alice.errors())
        os.remove(ballast)
        self.assertEqual(alice.wait(), 0, alice.errors()[-2000:])
        self.assertEqual(sha256(self.path("a")), sha256(source))
        self.assertEqual([line["status"] for line in lab.audit()], [200])
        more = lab.publish(self.path("more"), "--public", *socket)
        lab.get_good(more, "alice", self.path("b"))
        self.assertEqual(sha256(self.path("b")), sha256(self.path("more")))

    def cache_fills_during_an_import(self):
        lab = self.begun("core", "tracker")
        disk = os.path.join(lab.dir, "cache")
        small_disk(disk, 64 << 20)
        lab.role("cache")
        socket = ("--socket", lab.socket())
        source = make_file(self.path("film"), 40 << 20)
        publish = lab.start("publish", "publish", source, "--public", "--dir", lab.dir, *socket)
        objects = os.path.join(disk, "objects")
        wait_until("the upload", lambda: any(name.endswith(".data") for name in os.listdir(objects)))
        ballast = fill(disk)
        code = publish.wait()
        os.remove(ballast)
        if code != 0:  # it may have been quicker
            self.assertEqual(code, 9, publish.errors()[-2000:])
        uri = lab.publish(source, "--public", *socket)
        lab.get_good(uri, "alice", self.path("a"))
        self.assertEqual(sha256(self.path("a")), sha256(source))

    def ue_is_full(self):
        lab = self.begun("core", "tracker", "cache")
        source = make_file(self.path("film"), SIZE)
        uri = lab.publish(source, "--public", "--socket", lab.socket())
        disk = os.path.join(lab.dir, "subscribers", "alice")
        small_disk(disk, SIZE * 3 // 2)
        ballast = fill(disk)
        refused = lab.get(uri, "alice", self.path("a"))
        self.assertEqual(refused.code, 9, refused.err)
        self.assertRegex(refused.err, "(?i)free|no space")
        os.remove(ballast)
        # It fills while the content comes.
        alice = lab.start_get(uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(2 << 20)
        ballast = fill(disk)
        self.assertEqual(alice.wait(), 9, alice.errors()[-2000:])
        self.assertRegex(alice.errors(), "(?i)no space")
        os.remove(ballast)
        report = lab.get_good(uri, "alice", self.path("a"), "-c")
        self.assertEqual(sha256(self.path("a")), sha256(source))
        self.assertGreater(report["bytes"], 0)

    def output_is_full(self):
        lab = self.begun("core", "tracker", "cache")
        source = make_file(self.path("film"), SIZE)
        uri = lab.publish(source, "--public", "--socket", lab.socket())
        disk = self.path("disk")
        small_disk(disk, SIZE // 2)
        refused = lab.get(uri, "alice", os.path.join(disk, "a"))
        self.assertEqual(refused.code, 9, refused.err)
        self.assertRegex(refused.err, "(?i)free|no space")
        self.assertEqual(os.listdir(disk), [])
        # What was verified is kept: another disk takes it.
        lab.get_good(uri, "alice", self.path("a"), "-c")
        self.assertEqual(sha256(self.path("a")), sha256(source))


    def holes_are_more_than_the_disks(self):
        lab = self.begun("core", "tracker")
        for disk in ("cache", "subscribers/alice"):
            small_disk(os.path.join(lab.dir, disk), 48 << 20)
        lab.role("cache")
        source, out = make_file(self.path("film"), SIZE), self.path("out")
        with open(source, "r+b") as handle:
            handle.seek(150 << 20)
            handle.write(b"behind a hole")
            handle.truncate(300 << 20)
        small_disk(out, 16 << 20)
        spool = os.path.join(lab.dir, "provider", "spool")
        small_disk(spool, 16 << 20)
        uri = lab.publish(source, "--public", "--protect", "session", "--socket", lab.socket())
        lab.get_good(uri, "alice", os.path.join(out, "a"))
        self.assertEqual(sha256(os.path.join(out, "a")), sha256(source))


class FullDisk(LabTest):
    def inside(self, name):
        words = ["unshare", "-rm", sys.executable, os.path.abspath(__file__), f"Inside.{name}"]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    @unittest.skipUnless(may_mount(), "no mount namespaces here")
    def test_of_a_cache(self):
        self.inside("cache_is_full")

    @unittest.skipUnless(may_mount(), "no mount namespaces here")
    def test_of_a_cache_during_an_import(self):
        self.inside("cache_fills_during_an_import")

    @unittest.skipUnless(may_mount(), "no mount namespaces here")
    def test_of_a_subscriber(self):
        self.inside("ue_is_full")

    @unittest.skipUnless(may_mount(), "no mount namespaces here")
    def test_of_an_output(self):
        self.inside("output_is_full")

    @unittest.skipUnless(may_mount(), "no mount namespaces here")
    def test_that_holes_do_not_fill(self):
        self.inside("holes_are_more_than_the_disks")


if __name__ == "__main__":
    main()
