"""A byte is written once: `get` opens what it fetches in the file that it becomes, and serves it from there."""
import json
import os
import stat

from harness import LabTest, chunks_kept, flip, main, make_file, sha256, wait_until

SIZE = 3 << 20
SLOW = ("--max-download-limit", "1M")


class Once(LabTest):
    def begin(self, *options, size=SIZE):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob")
        self.source = make_file(self.path("film.mp4"), size)
        self.uri = lab.publish(self.source, "--entitle", "alice", "--entitle", "bob", *options)
        return lab

    def place(self, lab, who="alice"):
        with open(lab.kept(self.uri, who) + ".place", encoding="utf-8") as handle:
            return json.load(handle)

    def hidden(self):
        return [name for name in os.listdir(self.work) if name.startswith(".") and ".sealcast-" in name]

    def whole(self, lab, out, *options, who="alice"):
        report = lab.get_good(self.uri, who, self.path(out), *options)
        self.assertEqual(sha256(self.path(out)), sha256(self.source))
        self.assertEqual(self.hidden(), [])
        return report

    def fetched(self, report):
        return report["from"]["cache"] + report["from"]["peers"]

    def audit(self, lab):
        return [(line["subscriber"].split("@")[0][4:], line["status"]) for line in lab.audit()]

    # ---- what is on the disk

    def grows_hidden(self, *options):
        lab = self.begin(*options)
        get = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        wait_until("chunks on disk", lambda: chunks_kept(lab.kept(self.uri, "alice")) > 0)
        (hidden,) = self.hidden()
        self.assertEqual(stat.S_IMODE(os.stat(self.path(hidden)).st_mode), 0o600)
        self.assertFalse(os.path.exists(self.path("a")))
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("a")), sha256(self.source))
        self.assertEqual(self.hidden(), [])
        mask = os.umask(0o77)
        os.umask(mask)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a")).st_mode), 0o666 & ~mask)
        # Once, and what it takes to serve it: hashes (and tags).
        directory = os.path.dirname(lab.kept(self.uri, "alice"))
        taken = sum(os.stat(os.path.join(directory, name)).st_blocks * 512 for name in os.listdir(directory))
        self.assertLess(taken, SIZE // 6)
        self.assertEqual(os.stat(self.path("a")).st_ino, self.place(lab)["inode"])

    def test_sealed_grows_hidden(self):
        self.grows_hidden()

    def test_clear_grows_hidden(self):
        self.grows_hidden("--protect", "none")

    # ---- kill and resume

    def killed(self, *options, chunks=600):
        lab = self.begin(*options)
        get = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        wait_until("chunks on disk", lambda: chunks_kept(lab.kept(self.uri, "alice")) > chunks)
        get.kill()
        self.assertEqual(len(self.hidden()), 1)
        return lab

    def same_again(self, *options):
        lab = self.killed(*options)
        report = self.whole(lab, "a", "-c")
        self.assertLess(self.fetched(report), SIZE - 500 * 1152)

    def test_killed_and_the_same_again(self):
        self.same_again()

    def test_killed_and_the_same_again_clear(self):
        self.same_again("--protect", "session")

    def test_killed_and_another_output(self):
        lab = self.killed()
        os.mkdir(self.path("elsewhere"))
        report = self.whole(lab, "elsewhere/b")
        self.assertLess(self.fetched(report), SIZE - 500 * 1152)
        self.assertFalse(os.path.exists(self.path("a")))
        self.assertEqual(os.listdir(self.path("elsewhere")), ["b"])

    def test_killed_and_damaged(self):
        """What an earlier process wrote is believed by nobody."""
        lab = self.killed()
        (hidden,) = self.hidden()
        for offset in range(100, SIZE, 16 * 1152):  # some of it has come, wherever the transfer began
            flip(self.path(hidden), offset)
        flip(lab.kept(self.uri, "alice") + ".tags", 5)
        get = lab.get(self.uri, "alice", self.path("a"))
        self.assertEqual(get.code, 0, get.err)
        self.assertIn("damaged on disk", get.err)
        self.assertEqual(sha256(self.path("a")), sha256(self.source))

    def test_killed_and_removed(self):
        lab = self.killed()
        (hidden,) = self.hidden()
        os.remove(self.path(hidden))
        refused = lab.get(self.uri, "alice", self.path("a"), "-c")
        self.assertEqual(refused.code, 1, refused.err)
        self.assertIn(hidden, refused.json["error"])
        self.whole(lab, "a")

    def test_nothing_is_left_without_a_chunk(self):
        lab = self.begin()
        lab.processes[0].interrupt()
        refused = lab.get(self.uri, "alice", self.path("a"), "--stall-timeout", "2")
        self.assertNotEqual(refused.code, 0)
        self.assertEqual(self.hidden(), [])

    # ---- the second get

    def test_another_output_takes_what_the_first_file_has(self):
        lab = self.begin()
        self.whole(lab, "a")
        self.assertEqual(self.fetched(self.whole(lab, "b")), 0)
        self.assertEqual(self.place(lab)["file"], os.path.realpath(self.path("b")))
        # The first one may go; a part of the second one may be wrong.
        os.remove(self.path("a"))
        flip(self.path("b"), 1000000)
        report = self.whole(lab, "c")
        self.assertGreater(self.fetched(report), 0)
        self.assertLess(self.fetched(report), SIZE // 4)
        self.assertNotEqual(sha256(self.path("b")), sha256(self.source), "a file of the user is never mended")
        self.assertEqual(self.fetched(self.whole(lab, "c")), 0)
        os.remove(self.path("c"))
        self.assertGreaterEqual(self.fetched(self.whole(lab, "c")), SIZE)

    # ---- serving

    def seeded(self, decisions, *options):
        lab = self.begin(*options)
        self.whole(lab, "a")
        seed = lab.seed("alice", self.uri)
        self.assertGreater(self.whole(lab, "b", "--max-download-limit", "2M", who="bob")["from"]["peers"], 0)
        self.assertTrue(seed.running(), seed.errors())
        self.assertEqual(self.audit(lab), decisions)

    def test_seed_from_the_file(self):
        self.seeded([("alice", 200), ("alice", 200), ("bob", 200)])

    def test_seed_from_the_file_clear(self):
        self.seeded([], "--protect", "session")

    def ends(self, seed, lab, words):
        before = sha256(self.path("a")) if os.path.exists(self.path("a")) else None
        report = lab.get(self.uri, "bob", self.path("b"), "--max-download-limit", "2M")
        self.assertEqual(report.code, 0, report.err)
        self.assertNotIn("do not verify", report.err)  # nobody was sent a bad chunk
        self.assertEqual(sha256(self.path("b")), sha256(self.source))
        self.assertEqual(seed.wait(), 1, seed.errors())
        self.assertIn(words, seed.errors())
        self.assertIn("it is served no more", seed.errors())
        if before:
            self.assertEqual(sha256(self.path("a")), before)

    def test_an_edited_file_ends_the_serving(self):
        lab = self.begin()
        self.whole(lab, "a")
        seed = lab.seed("alice", self.uri)
        flip(self.path("a"), 5)
        self.ends(seed, lab, "was changed")

    def test_a_file_edited_before(self):
        """Inode and size are the same, and every run has an octet that is not."""
        lab = self.begin("--protect", "session")
        self.whole(lab, "a")
        for offset in range(100, SIZE, 32 * 1152):
            flip(self.path("a"), offset)
        self.ends(lab.seed("alice", self.uri), lab, "is not what was fetched")

    def test_a_file_that_is_gone_or_another(self):
        lab = self.begin()
        self.whole(lab, "a")
        os.rename(self.path("a"), self.path("moved"))
        refused = lab.run("seed", self.uri, "--as", "alice")
        self.assertEqual(refused.code, 1, refused.err)
        self.assertIn(self.path("a"), refused.err)
        make_file(self.path("a"), SIZE)
        refused = lab.run("seed", self.uri, "--as", "alice")
        self.assertEqual(refused.code, 1, refused.err)
        self.assertIn("another file", refused.err)

    def test_without_the_key_nothing_is_served(self):
        lab = self.begin()
        self.whole(lab, "a")
        lab.good("key", "revoke", self.uri)
        refused = lab.run("seed", self.uri, "--as", "alice")
        self.assertEqual(refused.code, 8, refused.err)
        self.assertIn("not released", refused.err)

    # ---- --keep

    def test_keep(self):
        lab = self.begin()
        self.whole(lab, "a", "--keep")
        self.assertTrue(os.path.exists(lab.kept(self.uri, "alice") + ".data"))
        os.remove(self.path("a"))
        lab.seed("alice", self.uri, options=("--sealed",))
        self.assertGreater(self.whole(lab, "b", "--max-download-limit", "2M", who="bob")["from"]["peers"], 0)
        self.assertEqual(self.audit(lab), [("alice", 200), ("bob", 200)])
        # What an older version kept is of the same form: it stays usable.
        self.assertEqual(self.fetched(self.whole(lab, "a")), 0)

    def test_sealed_only(self):
        lab = self.begin()
        self.whole(lab, "a")
        refused = lab.run("seed", self.uri, "--as", "alice", "--sealed")
        self.assertEqual(refused.code, 3, refused.err)
        self.assertIn("--keep", refused.err)
        self.assertEqual(self.audit(lab), [("alice", 200)])
        # Kept from now on.
        self.whole(lab, "a", "--keep")
        self.assertTrue(os.path.exists(lab.kept(self.uri, "alice") + ".data"))
        self.assertFalse(os.path.exists(lab.kept(self.uri, "alice") + ".place"))
        self.assertIn("seeding 1", lab.seed("alice", self.uri, options=("--sealed",)).output())


if __name__ == "__main__":
    main()
