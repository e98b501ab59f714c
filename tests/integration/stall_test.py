"""A transfer in which nothing is verified ends; one that is only slow does not."""
import os
import signal

from harness import LabTest, main, make_file, sha256


class Stall(LabTest):
    def test_partners_that_stop(self):
        """The cache is there, its calls stand, and no octet comes."""
        lab = self.lab()
        _, _, cache = lab.split()
        lab.subscribers("alice")
        source = make_file(self.path("film.mp4"), 4 << 20)
        uri = lab.publish(source, "--entitle", "alice", "--socket", lab.socket())
        slow = lab.start_get(uri, "alice", self.path("a"), "--max-download-limit", "700K", "--stall-timeout", "3")
        slow.wait_progress(1 << 20)
        cache.process.send_signal(signal.SIGSTOP)
        self.assertEqual(slow.wait(), 5, slow.errors())
        self.assertEqual(slow.json["code"], 5)
        self.assertFalse(os.path.exists(self.path("a")))
        cache.go_on()
        lab.get_good(uri, "alice", self.path("a"))
        self.assertEqual(sha256(self.path("a")), sha256(source))

    def test_a_low_limit_is_no_stall(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("small"), 100_000)
        uri = lab.publish(source, "--entitle", "alice")
        # What is asked for at a time takes longer than the stall time-out.
        slow = lab.start_get(uri, "alice", self.path("a"), "--max-download-limit", "10K", "--stall-timeout", "1")
        self.assertEqual(slow.wait(), 0, slow.errors())
        self.assertEqual(sha256(self.path("a")), sha256(source))


if __name__ == "__main__":
    main()
