"""What a cache does when something is taken from it or from somebody: entitlement, files, database, master key."""
import os
import re
import shutil
import sqlite3

from harness import LabTest, main, make_file, sha256, wait_until

SIZE = 8 << 20
SLOW = ("--max-download-limit", "400k")


class Withdrawn(LabTest):
    def begun(self, *names):
        lab = self.lab()
        lab.up()
        lab.subscribers(*names)
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.uri = lab.publish(self.source, *(word for name in names for word in ("--entitle", name)))
        return lab

    def calls(self, lab):
        return lab.api("GET", "status")[2]["cache"]["calls"]

    def test_who_is_no_longer_entitled_is_hung_up(self):
        lab = self.begun("alice", "bob")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        bob = lab.start_get(self.uri, "bob", self.path("b"), *SLOW)
        for each in (alice, bob):
            each.wait_progress(200000)
        lab.good("entitle", self.uri, "--remove", "alice")
        self.assertEqual(self.calls(lab), 1)
        wait_until("alice to end", lambda: not alice.running())
        self.assertEqual(alice.process.returncode, 4, alice.errors()[-2000:])
        before = bob.progress()["bytes"]
        bob.wait_progress(before + 200000)
        line = [each for each in lab.audit_log() if each["event"] == "entitle"][-1]
        self.assertEqual(line["reason"], "-sip:alice@sealcast.test")
        self.assertIn(f"uid {os.getuid()}", line["who"])

    def test_a_tree_that_is_cut_short_fails_its_content_only(self):
        lab = self.begun("alice", "bob")
        other_source = make_file(self.path("other"), 1 << 20, seed=2)
        other = lab.publish(other_source, "--entitle", "alice", "--entitle", "bob")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(200000)
        os.truncate(lab.object(self.uri) + ".tree", 0)
        wait_until("the cache to notice", lambda: lab.content(self.uri)["state"] == "damaged")
        self.assertIn(".tree became shorter", lab.content(self.uri)["trouble"])
        alice.kill()
        lab.get_good(other, "bob", self.path("b"))
        self.assertEqual(sha256(self.path("b")), sha256(other_source))
        # Published again it is whole.
        lab.publish(self.source, "--entitle", "bob")

    def test_data_that_is_cut_short_fails_its_content_only(self):
        lab = self.begun("alice", "bob")
        other_source = make_file(self.path("other"), 1 << 20, seed=2)
        other = lab.publish(other_source, "--entitle", "bob")
        os.truncate(lab.object(self.uri) + ".data", 0)
        alice = lab.start_get(self.uri, "alice", self.path("a"))
        wait_until("the cache to notice", lambda: "became shorter" in lab.content(self.uri).get("trouble", ""))
        lab.get_good(other, "bob", self.path("b"))
        alice.kill()

    def test_a_locked_database_is_no_verdict(self):
        lab = self.begun("alice")
        backup = sqlite3.connect(os.path.join(lab.dir, "cache", "cache.db"), isolation_level=None)
        backup.execute("BEGIN IMMEDIATE")
        refused = lab.run("entitle", self.uri, "--public")
        self.assertEqual(refused.code, 12, refused.err)
        alice = lab.start_get(self.uri, "alice", self.path("a"))
        up = lab.processes[0]
        wait_until("a key request to be put off", lambda: "database is locked" in up.errors())
        backup.execute("ROLLBACK")
        self.assertEqual(alice.wait(), 0, alice.errors()[-2000:])
        self.assertNotIn("cache.db", alice.errors())
        self.assertEqual([line["status"] for line in lab.audit()], [200])

    def test_a_lost_master_key_is_not_replaced(self):
        lab = self.begun("alice")
        lab.processes[0].interrupt()
        master = os.path.join(lab.dir, "cache", "master.key")
        shutil.move(master, self.path("kept"))
        up = lab.start("up", "up", "--dir", lab.dir)
        self.assertEqual(up.wait(), 2)
        self.assertRegex(up.errors(), re.escape(master) + " is missing")
        self.assertFalse(os.path.exists(master))

    def test_the_audit_log_tells_who_did_what(self):
        lab = self.begun("alice")
        lab.good("key", "export", self.uri, self.path("film.key"))
        lab.good("key", "revoke", self.uri)
        lab.good("key", "import", self.path("film.key"))
        lab.good("subscriber", "add", "carol")
        lab.good("subscriber", "remove", "carol")
        lines = lab.audit_log()
        events = {line["event"] for line in lines}
        at_the_cache = {"publish", "entitle", "object", "key-import", "key-revoke", "provider"}
        self.assertLessEqual(at_the_cache | {"key-export", "subscriber-add", "subscriber-remove"}, events)
        for line in lines:
            self.assertRegex(line["who"], "^(uid [0-9]+.*, pid [0-9]+|sip:.*)$")

    def test_publications_side_by_side_leave_each_other_alone(self):
        lab = self.begun("alice")
        sources = [make_file(self.path(f"f{i}"), 300000, seed=i) for i in range(8)]
        for _ in range(3):
            options = ("--dir", lab.dir, "--public", "--progress", "none")
            running = [lab.start("publish", "publish", source, *options) for source in sources]
            for each in running:
                self.assertEqual(each.wait(), 0, each.errors())
                self.assertEqual(lab.content(each.output().strip())["state"], "offered")


if __name__ == "__main__":
    main()
