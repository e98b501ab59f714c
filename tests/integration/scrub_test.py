"""A cache looks at what nobody asks for: what a disk has changed is found, told, and fetched again."""
import os

from harness import LabTest, chunks_kept, flip, main, make_file, sha256, wait_until

SIZE = 2 << 20
REPAIRS = 16  # of a cache at a time


class Scrub(LabTest):
    def begun(self, rate=64 << 20):
        lab = self.lab()
        lab.good("init")
        with open(os.path.join(lab.dir, "cache.toml"), "a", encoding="utf-8") as handle:
            handle.write(f"scrub_rate = {rate}\n")
        lab.up()
        return lab

    def status(self, lab):
        return lab.api("GET", "status")[2]["cache"]

    def rounds(self, lab, more):
        wanted = self.status(lab)["scrub"]["rounds"] + more
        wait_until(f"round {wanted}", lambda: self.status(lab)["scrub"]["rounds"] >= wanted)

    def test_what_nobody_asks_for_is_found_and_repaired(self):
        lab = self.begun()
        lab.subscribers("alice", "bob")
        source = make_file(self.path("film"), SIZE)
        uri = lab.publish(source, "--entitle", "alice", "--entitle", "bob")
        lab.get_good(uri, "alice", self.path("alice"))
        base = lab.object(uri)
        before = sha256(base + ".data")
        chunks = lab.content(uri)["chunks"]
        sent = self.status(lab)["sent"]
        for offset in (10, SIZE // 2, SIZE // 2 + 1, SIZE - 1):
            flip(base + ".data", offset)
        wait_until("the discovery", lambda: lab.content(uri)["state"] == "damaged")
        wait_until("all of it", lambda: self.status(lab)["scrub"]["damaged_runs"] == 3)
        wait_until("the bitmap", lambda: chunks_kept(base) == chunks - 3)
        status = self.status(lab)
        self.assertEqual(status["sent"], sent, "nobody has asked")
        self.assertEqual(status["repaired_chunks"], 0)
        lab.seed("alice", uri)
        wait_until("the repair", lambda: lab.content(uri)["state"] == "offered")
        self.assertEqual(sha256(base + ".data"), before)
        self.assertEqual(self.status(lab)["repaired_chunks"], 3)
        self.rounds(lab, 2)
        scrub = self.status(lab)["scrub"]
        self.assertEqual(scrub["damaged_runs"], 3, "and nothing since")
        shown = lab.good("status").out
        for line in ("cache.repaired_chunks", "cache.scrub.damaged_runs", "cache.scrub.last_round"):
            self.assertIn(line, shown)
        lab.get_good(uri, "bob", self.path("bob"))
        self.assertEqual(sha256(self.path("bob")), sha256(source))

    def test_what_was_opened_for_it_is_closed_again(self):
        lab = self.begun()
        for number in range(5):
            lab.publish(make_file(self.path(f"file-{number}"), 300_000, seed=number), "--public")
        self.rounds(lab, 2)
        wait_until("rest", lambda: "content" not in self.status(lab)["scrub"])
        status = self.status(lab)
        self.assertEqual(status["objects_open"], 0)
        self.assertEqual(status["scrub"]["damaged_runs"], 0)
        self.assertEqual(status["scrub"]["passed_over"], 0)
        self.assertGreater(status["scrub"]["round_octets"], 5 * 300_000)
        self.assertLess(status["scrub"]["round_octets"], 5 * 310_000)
        self.assertEqual(status["scrub"]["round_done"], status["scrub"]["round_octets"])

    def test_more_damage_than_can_be_repaired_at_a_time(self):
        """All of it is known, whoever's turn to be repaired it is, and stays known."""
        lab = self.begun()
        uris = [
            lab.publish(make_file(self.path(f"file-{number}"), 50_000, seed=number), "--public")
            for number in range(REPAIRS + 4)
        ]
        for uri in uris:
            flip(lab.object(uri) + ".data", 30_000)

        def damaged():
            return sum(lab.content(uri)["state"] == "damaged" for uri in uris)

        wait_until("the discovery", lambda: damaged() == len(uris))
        chunks = lab.content(uris[0])["chunks"]
        lab.processes[0].kill()
        for uri in uris:
            self.assertEqual(chunks_kept(lab.object(uri)), chunks - 1)
        lab.up()
        self.assertEqual(damaged(), len(uris))


if __name__ == "__main__":
    main()
