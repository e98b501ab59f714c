"""Processes of one subscriber side by side: one device key, nobody displaced, nothing lost, whatever is killed."""
import os
import signal

from harness import LabTest, chunks_kept, main, make_file, sha256, wait_until

SIZE = 3 << 20


class SideBySide(LabTest):
    def begin(self, *names, size=SIZE):
        lab = self.lab()
        lab.up()
        lab.subscribers(*names)
        self.source = make_file(self.path("film.mp4"), size)
        entitled = [word for name in names for word in ("--entitle", name)]
        self.uri = lab.publish(self.source, *entitled)
        return lab

    def start_get(self, lab, out, *options, uri=None, who="alice"):
        return lab.start_get(uri or self.uri, who, self.path(out), *options)

    def whole(self, process, out, source=None):
        self.assertEqual(process.wait(), 0, process.errors()[-3000:])
        self.assertEqual(sha256(self.path(out)), sha256(source or self.source))

    def clean_up_is_complete(self, lab, who="alice"):
        """No place beside, no lock of an output, no half-made key stays."""
        state = os.path.join(lab.dir, "subscribers", who)
        self.assertEqual([name for name in os.listdir(state) if "new-" in name or "part-" in name], [])
        self.assertEqual(os.listdir(os.path.join(state, "outputs")), [])

    def test_first_gets_at_once_make_one_key(self):
        names = [f"s{i}" for i in range(4)]
        lab = self.begin(*names, size=200_000)
        for who in names:
            first = [self.start_get(lab, f"{who}-{i}", who=who) for i in range(3)]
            for i, process in enumerate(first):
                self.whole(process, f"{who}-{i}")
            self.clean_up_is_complete(lab, who)
            again = lab.get(self.uri, who, self.path(who + "-again"))
            self.assertEqual(again.code, 0, again.err)

    def test_the_same_content_to_several_outputs(self):
        """While one writes the chunks, the others begin with what it has and keep their own beside."""
        lab = self.begin("alice")
        slow = self.start_get(lab, "a", "--max-download-limit", "700K")
        wait_until("chunks that are saved", lambda: chunks_kept(lab.kept(self.uri, "alice")) > 0)
        others = [self.start_get(lab, f"b{i}") for i in range(3)]
        for i, process in enumerate(others):
            self.whole(process, f"b{i}")
            self.assertLess(process.json["from"]["cache"] + process.json["from"]["peers"], SIZE)
        self.whole(slow, "a")
        self.clean_up_is_complete(lab)
        # What is whole is read by many at once; nothing is fetched again.
        done = [self.start_get(lab, f"c{i}") for i in range(3)]
        for i, process in enumerate(done):
            self.whole(process, f"c{i}")
            self.assertEqual(process.json["from"], {"cache": 0, "peers": 0})
        directory = os.path.dirname(lab.kept(self.uri, "alice"))
        self.assertEqual([name for name in os.listdir(directory) if name.startswith("beside-")], [])

    def test_the_same_output_is_refused(self):
        lab = self.begin("alice")
        slow = self.start_get(lab, "a", "--max-download-limit", "500K")
        slow.wait_progress(1)
        os.symlink(self.work, self.path("link"))
        for out in (self.path("a"), self.path("link/../" + os.path.basename(self.work) + "/a")):
            second = lab.get(self.uri, "alice", out)
            self.assertEqual(second.code, 1, second.err)
            self.assertIn(f"in use by process {slow.process.pid}", second.json["error"])
        self.whole(slow, "a")

    def test_several_contents_seeds_and_a_kill(self):
        lab = self.begin("alice", "bob")
        other = make_file(self.path("other"), SIZE, seed=2)
        other_uri = lab.publish(other, "--entitle", "alice", "--entitle", "bob")
        slow = self.start_get(lab, "a", "--max-download-limit", "600K")
        slow.wait_progress(SIZE // 3)
        beside = self.start_get(lab, "b", "--max-download-limit", "600K")
        beside.wait_progress(SIZE // 2)
        for each in (slow, beside):  # neither comes to its end before the seed is there
            each.process.send_signal(signal.SIGSTOP)
            self.assertTrue(each.running(), each.errors())
        self.whole(self.start_get(lab, "c", uri=other_uri), "c", other)
        # Seeding while it is fetched: it follows when that has ended.
        seed = lab.seed("alice", other_uri, self.uri)
        self.assertIn("seeding 2", seed.output())
        slow.kill()
        beside.kill()
        wait_until("the seed to take over", lambda: not self.beside(lab))
        self.assertGreater(chunks_kept(lab.kept(self.uri, "alice")), 0)
        self.whole(self.start_get(lab, "d"), "d")
        report = lab.get_good(self.uri, "bob", self.path("e"))
        self.assertEqual(sha256(self.path("e")), sha256(self.source))
        self.assertGreaterEqual(report["bytes"], SIZE)
        self.assertTrue(seed.running(), seed.errors())
        twin = lab.seed("alice", other_uri)
        self.assertTrue(seed.running() and twin.running())

    def beside(self, lab):
        directory = os.path.dirname(lab.kept(self.uri, "alice"))
        return [name for name in os.listdir(directory) if name.startswith("beside-")]

    def test_the_core_forgets_us(self):
        """A core that comes back knows no registration: nobody who is entitled hears that he is not."""
        lab = self.lab()
        core, _, _ = lab.split()
        lab.subscribers("alice")
        source = make_file(self.path("film.mp4"), SIZE)
        uri = lab.publish(source, "--entitle", "alice", "--socket", lab.socket())
        slow = lab.start_get(uri, "alice", self.path("a"), "--max-download-limit", "700K")
        slow.wait_progress(SIZE // 4)
        core.kill()
        lab.role("core")
        second = lab.get(uri, "alice", self.path("b"))
        self.assertNotEqual(second.code, 4, second.err)
        self.assertEqual(slow.wait(), 0, slow.errors())
        self.assertEqual(sha256(self.path("a")), sha256(source))


if __name__ == "__main__":
    main()
