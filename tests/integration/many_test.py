"""A subscriber who keeps many contents: all are announced and served, and the ready line says how many."""
import os
import shutil

from harness import LabTest, main, make_file, sha256

# More than one announcement holds would take minutes to publish; the pages are counted in a unit test.
CONTENTS = 90


class Many(LabTest):
    def test_all_are_announced_and_served(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob")
        uris = []
        for i in range(CONTENTS):
            source = make_file(self.path(f"file{i}"), 20_000 + i, seed=i)
            uris.append(lab.publish(source, "--public"))
        # As if alice had fetched them: a cache keeps objects in the same form.
        for uri in uris:
            kept = lab.kept(uri, "alice")
            os.makedirs(os.path.dirname(kept), mode=0o700)
            for extension in (".data", ".tree", ".have"):
                shutil.copy(lab.object(uri) + extension, kept + extension)
        seed = lab.seed("alice")
        self.assertRegex(seed.output(), rf"(?m)^ready seeding {CONTENTS} as alice, {CONTENTS} announced$")
        subscriptions = lab.good("status", "--json").json["tracker"]["subscriptions"]
        self.assertLess(subscriptions, CONTENTS, "no standing subscription for what is whole")
        # Without the cache's chunks: alice serves the first and the last.
        for uri in (uris[0], uris[-1]):
            os.remove(lab.object(uri) + ".have")
        for i in (0, CONTENTS - 1):
            report = lab.get_good(uris[i], "bob", self.path("copy"))
            self.assertEqual(sha256(self.path("copy")), sha256(self.path(f"file{i}")))
            self.assertEqual(report["bytes"], 20_000 + i)
        self.assertTrue(seed.running(), seed.errors())


if __name__ == "__main__":
    main()
