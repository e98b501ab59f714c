"""`get` goes on at once with what an earlier one left, and believes none of it in the end."""
import os

from harness import LabTest, chunks_kept, flip, main, make_file, sha256, wait_until

SIZE = 3 << 20
CHUNK = 1152
SLOW = ("--max-download-limit", "1M")


class Resume(LabTest):
    def killed(self, *options):
        """A get that was killed in the middle; the file that it was writing."""
        self.lab_ = self.lab()
        _, _, self.cache = self.lab_.split()
        self.lab_.subscribers("alice")
        self.source = make_file(self.path("film.mp4"), SIZE)
        words = ("--entitle", "alice", "--socket", self.lab_.socket())
        self.uri = self.lab_.publish(self.source, *words, *options)
        get = self.lab_.start_get(self.uri, "alice", self.path("a"), *SLOW)
        wait_until("chunks on disk", lambda: chunks_kept(self.lab_.kept(self.uri, "alice")) > 700)
        get.kill()
        (hidden,) = [name for name in os.listdir(self.work) if name.startswith(".") and ".sealcast-" in name]
        return self.path(hidden)

    def goes_on(self, *options):
        got = self.lab_.get(self.uri, "alice", self.path("a"), "-c", *options)
        self.assertEqual(got.code, 0, got.err + self.lab_.logs())
        self.assertEqual(sha256(self.path("a")), sha256(self.source))
        return got

    def looked_at(self, *protection):
        self.killed(*protection)
        got = self.goes_on()
        kept = got.json["kept"]
        self.assertEqual(kept["sampled"], 32)
        self.assertGreaterEqual(kept["checked"], 700 // 32)
        self.assertEqual(kept["damaged"], 0)
        self.assertNotIn("checked first", got.err)

    def test_what_is_whole_is_sampled_and_checked_at_the_end(self):
        self.looked_at()

    def test_what_is_whole_is_sampled_and_checked_at_the_end_clear(self):
        self.looked_at("--protect", "session")

    def test_one_damaged_chunk_is_found_before_the_output_has_its_name(self):
        hidden = self.killed("--protect", "session")
        flip(hidden, self.first_kept() + 7)
        got = self.goes_on()
        self.assertEqual(got.json["kept"]["damaged"], 1)
        self.assertIn("damaged on disk", got.err)

    def test_a_damaged_sample_makes_it_check_all_first(self):
        hidden = self.killed("--protect", "session")
        for offset in range(100, SIZE, CHUNK * 16):
            flip(hidden, offset)
        got = self.goes_on()
        self.assertIn("all of it is checked first", got.err)
        self.assertGreaterEqual(got.json["kept"]["damaged"], 700 // 32)

    def test_with_check_all_is_checked_first(self):
        """Nobody is there to be asked for anything: what is found is found before."""
        hidden = self.killed("--protect", "session")
        flip(hidden, self.first_kept() + 7)
        self.cache.interrupt()
        alone = self.lab_.get(self.uri, "alice", self.path("a"), "-c", "--check", "--stall-timeout", "2")
        self.assertNotEqual(alone.code, 0)
        self.assertIn("damaged on disk", alone.err)
        self.lab_.role("cache")
        kept = self.goes_on("--check").json["kept"]
        self.assertEqual((kept["sampled"], kept["damaged"]), (0, 0), "it was found in the get before")

    def first_kept(self):
        """Where the first chunk lies that is kept."""
        with open(self.lab_.kept(self.uri, "alice") + ".have", "rb") as handle:
            bitmap = handle.read()[56:-32]
        first = next(i for i, octet in enumerate(bitmap) if octet != 0)
        return (first * 8 + (bitmap[first] & -bitmap[first]).bit_length() - 1) * CHUNK


if __name__ == "__main__":
    main()
