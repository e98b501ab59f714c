"""Who may call, and for how long. A tracker whose tokens live ten seconds."""
import os
import sqlite3

from harness import LabTest, main, make_file, wait_until

SIZE = 8 << 20
SLOW = ("--max-download-limit", "200k")  # 40 s: four lives of a token


class Invitation(LabTest):
    def begun(self, *names):
        lab = self.lab()
        lab.split(tracker="token_life = 10\n")
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

    def cut_off(self, lab, get, *codes):
        wait_until(f"{get.name} to be cut off", lambda: not get.running())
        self.assertIn(get.process.returncode, codes, get.errors()[-2000:])
        wait_until("the cache to have no call", lambda: self.calls(lab) == 0)

    def calls(self, lab):
        return lab.api("GET", "status")[2]["cache"]["calls"]

    def test_a_call_ends_with_its_token(self):
        """Withdrawn at the tracker alone; the cache would serve for ever."""
        lab = self.begun("alice")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(200000)
        self.catalogue(lab, "DELETE FROM entitled")
        self.cut_off(lab, alice, 4)

    def test_a_subscribers_device_serves_no_longer_than_a_token_lives(self):
        lab = self.begun("alice", "bob")
        lab.get_good(self.uri, "alice", self.path("a"))
        lab.seed("alice", self.uri)
        bob = lab.start_get(self.uri, "bob", self.path("b"), *SLOW)
        bob.wait_progress(400000)
        lab.good("entitle", self.uri, "--remove", "bob", "--socket", lab.socket())
        self.cut_off(lab, bob, 4)
        self.assertFalse(os.path.exists(self.path("b")))

    def test_who_is_no_subscriber_any_more_is_hung_up(self):
        lab = self.begun("alice")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(200000)
        lab.good("subscriber", "remove", "alice")
        self.cut_off(lab, alice, 11)

    def test_who_is_no_subscriber_any_more_serves_no_longer(self):
        lab = self.begun("alice")
        lab.get_good(self.uri, "alice", self.path("a"))
        alice = lab.seed("alice", self.uri)
        lab.good("subscriber", "remove", "alice")
        wait_until("alice to end", lambda: not alice.running())
        self.assertEqual(alice.process.returncode, 11, alice.errors()[-2000:])

    def test_a_revoked_key_ends_the_calls(self):
        lab = self.begun("alice", "bob")
        alice = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        alice.wait_progress(200000)
        lab.good("key", "revoke", self.uri, "--socket", lab.socket())
        self.assertEqual(self.calls(lab), 0)
        # Who has the key may still have the octets; nobody else opens them any more.
        alice.wait_progress(alice.progress()["bytes"] + 400000)
        self.assertEqual(lab.get(self.uri, "bob", self.path("b"), "--stall-timeout", "3").code, 8)


if __name__ == "__main__":
    main()
