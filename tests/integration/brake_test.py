"""More keys than the holder gives one subscriber at once: `get` waits, visibly, and is not called not entitled."""
from harness import LabTest, main, make_file, sha256

AT_ONCE = 20


class Brake(LabTest):
    def test_many_keys_are_waited_for(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("file"), 30_000)
        uri = lab.publish(source, "--entitle", "alice")
        waited = False
        for _ in range(AT_ONCE + 2):
            done = lab.get(uri, "alice", self.path("copy"))
            self.assertEqual(done.code, 0, done.err)
            self.assertEqual(sha256(self.path("copy")), sha256(source))
            waited = waited or "asking again in" in done.err
        self.assertTrue(waited)


if __name__ == "__main__":
    main()
