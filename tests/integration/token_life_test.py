"""What ends with a token: calls at caches and at seeding subscribers, when nobody tells them that something was taken
away. A tracker whose tokens live ten seconds."""
import os
import sqlite3

from harness import LabTest, main, make_file, sha256, wait_until

SIZE = 8 << 20
SLOW = ("--max-download-limit", "250k")
OVER = "the membership token has ended"


class TokenLife(LabTest):
    def begun(self, *names):
        lab = self.lab()
        lab.good("init")
        with open(os.path.join(lab.dir, "tracker.toml"), "a", encoding="utf-8") as handle:
            handle.write("token_life = 10\n")
        for role in ("core", "tracker", "cache"):
            lab.role(role)
        lab.subscribers(*names)
        self.source = make_file(self.path("film"), SIZE)
        words = [word for name in names for word in ("--entitle", name)]
        self.uri = lab.publish(self.source, *words, "--socket", lab.socket())
        return lab

    def catalogue(self, lab, statement, *values):
        """What the tracker knows, and the cache does not."""
        database = sqlite3.connect(os.path.join(lab.dir, "tracker", "catalogue.db"), timeout=30)
        with database:
            changed = database.execute(statement, values).rowcount
        database.close()
        self.assertGreater(changed, 0)

    def calls(self, lab):
        return lab.api("GET", "status")[2]["cache"]["calls"]

    def test_at_a_cache_that_is_not_told(self):
        lab = self.begun("alice", "bob")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(100000)
        self.catalogue(lab, "DELETE FROM entitled WHERE subscriber = ?", "sip:alice@sealcast.test")
        wait_until("alice to end", lambda: not alice.running())
        self.assertEqual(alice.process.returncode, 4, alice.errors()[-2000:])
        self.assertIn(OVER, alice.errors())
        self.assertEqual(self.calls(lab), 0)

    def test_who_may_have_it_calls_again(self):
        lab = self.begun("alice")
        alice = lab.start_get(self.uri, "alice", self.path("a"), "--max-download-limit", "500k")
        self.assertEqual(alice.wait(), 0, alice.errors()[-2000:])
        self.assertIn(OVER, alice.errors())
        self.assertEqual(sha256(self.path("a")), sha256(self.source))

    def test_at_a_subscriber_who_seeds(self):
        lab = self.begun("alice", "bob")
        lab.get_good(self.uri, "alice", self.path("a"))
        lab.seed("alice", self.uri)
        bob = lab.start_get(self.uri, "bob", self.path("b"), *SLOW)
        bob.wait_progress(100000)
        os.kill(lab.processes[2].process.pid, 19)  # the cache says nothing more
        wait_until("a call to end with its token", lambda: OVER in bob.errors())
        os.kill(lab.processes[2].process.pid, 18)
        bob.kill()

    def test_a_subscriber_who_is_removed(self):
        lab = self.begun("alice")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(100000)
        self.assertEqual(self.calls(lab), 1)
        lab.good("subscriber", "remove", "alice")
        wait_until("his call to end", lambda: self.calls(lab) == 0)
        wait_until("alice to end", lambda: not alice.running(), 120)
        self.assertNotEqual(alice.process.returncode, 0, alice.errors()[-2000:])

    def test_a_key_that_is_revoked(self):
        lab = self.begun("alice", "bob")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(100000)
        lab.good("key", "revoke", self.uri, "--socket", lab.socket())
        wait_until("alice to be hung up", lambda: "the key was revoked" in alice.errors())
        alice.kill()
        refused = lab.get(self.uri, "bob", self.path("b"), "--stall-timeout", "3")
        self.assertEqual(refused.code, 8, refused.err)

    def test_refused_invitations_are_in_the_audit_log(self):
        """The tracker believes that mallory may have it; the cache knows better, and says who came."""
        lab = self.begun("alice")
        lab.subscribers("mallory")
        self.catalogue(
            lab,
            "INSERT INTO entitled (subscriber, root) SELECT 'sip:mallory@sealcast.test', root FROM entry",
        )
        refused = lab.get(self.uri, "mallory", self.path("m"), "--stall-timeout", "5")
        self.assertNotEqual(refused.code, 0)
        lines = [line for line in lab.audit_log("--socket", lab.socket()) if line["event"] == "invitation"]
        self.assertEqual(
            {(line["who"], line["status"], line["reason"]) for line in lines},
            {("sip:mallory@sealcast.test", 403, "Not entitled")},
        )
        self.assertLessEqual(len(lines), 2, "the same line once in a while")


if __name__ == "__main__":
    main()
