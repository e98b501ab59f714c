"""Where `get` writes: nothing is replaced that somebody else named, nothing becomes more readable, and what cannot be
written is found before the transfer."""
import json
import os
import stat
import subprocess

from harness import LabTest, chunks_kept, main, make_file, sha256

SIZE = 1 << 20


class Output(LabTest):
    def begin(self, *options, size=SIZE, name="film.mp4"):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.source = make_file(self.path(name), size)
        self.uri = lab.publish(self.source, "--entitle", "alice", *options)
        self.place = self.path("place")
        os.mkdir(self.place)
        return lab

    def get(self, lab, *options, cwd=None):
        return lab.run(
            "get", self.uri, "--as", "alice", "--json", "--progress", "none", *options, cwd=cwd or self.place
        )

    def test_a_name_that_the_provider_chose_replaces_nothing(self):
        lab = self.begin()
        target = os.path.join(self.place, "film.mp4")
        with open(target, "w", encoding="utf-8") as handle:
            handle.write("mine")
        refused = self.get(lab)
        self.assertEqual(refused.code, 2, refused.err)
        self.assertIn("exists already", refused.json["error"])
        self.assertEqual(chunks_kept(lab.kept(self.uri, "alice")), 0, "found before the transfer")
        # Of the same length: found when it is compared.
        make_file(target, SIZE, seed=9)
        before = sha256(target)
        refused = self.get(lab)
        self.assertEqual(refused.code, 2, refused.err)
        self.assertEqual(sha256(target), before)
        self.assertEqual(os.listdir(self.place), ["film.mp4"])
        self.assertEqual(self.get(lab, "--overwrite").code, 0)
        self.assertEqual(sha256(target), sha256(self.source))
        # Ours already.
        inode = os.stat(target).st_ino
        self.assertEqual(self.get(lab).code, 0)
        self.assertEqual(os.stat(target).st_ino, inode)
        os.remove(target)
        os.symlink("elsewhere", target)
        self.assertEqual(self.get(lab).code, 2)
        self.assertTrue(os.path.islink(target))

    def test_clear_contents_too(self):
        lab = self.begin("--protect", "none")
        with open(os.path.join(self.place, "film.mp4"), "w", encoding="utf-8") as handle:
            handle.write("mine")
        self.assertEqual(self.get(lab).code, 2)
        self.assertEqual(chunks_kept(lab.kept(self.uri, "alice")), 0)

    def test_modes_are_kept_or_narrowed(self):
        lab = self.begin()
        out = os.path.join(self.place, "copy")
        for mode in (0o600, 0o640):
            with open(out, "w", encoding="utf-8") as handle:
                handle.write("old")
            os.chmod(out, mode)
            self.assertEqual(self.get(lab, "-o", out).code, 0)
            self.assertEqual(sha256(out), sha256(self.source))
            self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), mode)

    def test_what_cannot_be_written_is_found_before(self):
        lab = self.begin()
        longest = os.path.join(self.place, "n" * 255)
        nowhere = os.path.join(self.place, "no", "file")
        for out, code in (("", 2), ("-", 2), (longest + "n", 2), (nowhere, 1), ("/dev/stdout", 2)):
            refused = self.get(lab, "-o", out)
            self.assertEqual(refused.code, code, (out, refused.err))
            self.assertEqual(refused.json["code"], code)
        mounted = os.path.join(self.place, "mounted")
        for name in ("mounted", "below"):
            make_file(os.path.join(self.place, name), 10)
        command = f'mount --bind "{self.place}/below" "{mounted}" && "$@"'
        probe = subprocess.run(["unshare", "-rm", "sh", "-c", command, "sh", "true"], capture_output=True, check=False)
        if probe.returncode == 0:
            wrapper = ["unshare", "-rm", "sh", "-c", command, "sh"]
            refused = lab.run("get", self.uri, "--as", "alice", "--json", "-o", mounted, wrapper=wrapper)
            self.assertEqual(refused.code, 2, refused.err)
            self.assertIn("mounted", refused.json["error"])
        self.assertEqual(chunks_kept(lab.kept(self.uri, "alice")), 0)
        self.assertEqual(self.get(lab, "-o", longest).code, 0)
        self.assertEqual(sha256(longest), sha256(self.source))

    def test_every_failure_is_a_document(self):
        lab = self.begin()
        for arguments in (
            ["--no-such-option"],
            ["-o"],
            ["--stall-timeout", "soon"],
            ["second-uri"],
            ["--as", "alice", "--progress", "loud"],
            ["--max-download-limit", "fast"],
        ):
            refused = lab.run("get", self.uri, "--json", *arguments)
            self.assertEqual(refused.code, 2, (arguments, refused.err))
            self.assertEqual(json.loads(refused.out)["code"], 2)
            self.assertIn(refused.json["error"][:20].replace('"', ""), refused.err.replace('"', ""))
        self.assertEqual(lab.run("get", "--json").json["code"], 2)
        self.assertEqual(lab.run("get", "film.mp4", "--json").json["code"], 2)
        self.assertEqual(lab.run("--json", "get", self.uri, "--dir", "").json["code"], 2)
        nowhere = self.lab("nowhere").run("get", self.uri, "--as", "alice", "--json")
        self.assertEqual(nowhere.json["code"], 3)
        odd = lab.run("get", self.uri, "--as", "alice", "--json", env={"SEALCAST_CRYPTO": "odd"})
        self.assertEqual(odd.json["code"], 2)

    def test_without_c_nothing_is_thrown_away(self):
        lab = self.begin(size=4 << 20)
        slow = lab.start_get(self.uri, "alice", self.path("a"), "--max-download-limit", "1M")
        slow.wait_progress(2 << 20)
        self.assertEqual(slow.interrupt(), 7)
        kept = chunks_kept(lab.kept(self.uri, "alice"))
        self.assertGreater(kept, 0)
        report = lab.get_good(self.uri, "alice", self.path("b"))
        self.assertEqual(sha256(self.path("b")), sha256(self.source))
        self.assertLess(report["from"]["cache"], 3 << 20)


if __name__ == "__main__":
    main()
