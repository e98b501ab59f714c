"""Invitations that tracker and cache judge differently. A tracker whose tokens live ten seconds."""
import os
import sqlite3

from harness import LabTest, main, make_file

SIZE = 8 << 20


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


if __name__ == "__main__":
    main()
