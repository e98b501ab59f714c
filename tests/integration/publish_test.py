"""What `publish` seals: any RFC 8188 implementation opens it, no key and nonce ever cover two plaintexts, and nothing
half-done is offered."""
import base64
import glob
import json
import os
import subprocess

import rfc8188
from harness import SEALCAST, LabTest, main, make_file, root_of

MIB = 1 << 20


class Publish(LabTest):
    def begun(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.objects = {}  # header -> contents seen under it: object files, whole or as far as they went
        self.keys = {}  # header -> content key, where a record or key file tells it
        return lab

    def spool(self, lab, name):
        return glob.glob(os.path.join(lab.dir, "provider", "spool", "*", name))

    def collect(self, lab):
        """Every sealed octet that lies anywhere now, and every key."""
        for name in self.spool(lab, "object*") + glob.glob(os.path.join(lab.dir, "cache", "objects", "*.data")):
            with open(name, "rb") as handle:
                octets = handle.read()
            if len(octets) > rfc8188.HEADER:
                self.objects.setdefault(octets[: rfc8188.HEADER], []).append(octets)
        for name in self.spool(lab, "record.json") + glob.glob(os.path.join(lab.dir, "provider", "keys", "*")):
            with open(name, encoding="utf-8") as handle:
                document = json.load(handle)
            payload = json.loads(base64.urlsafe_b64decode(document["desc"].split(".")[1] + "=="))
            self.keys[base64.urlsafe_b64decode(payload["hdr"] + "==")] = base64.urlsafe_b64decode(document["k"] + "==")

    def check_nonces(self, plaintexts):
        """One plaintext for each (salt, key): under one header a record is the same wherever it is seen, no two
        headers share a salt, a key id
        or a key, and each whole object is one of the plaintexts."""
        salts = [rfc8188.header(header)[0] for header in self.objects]
        key_ids = [rfc8188.header(header)[2] for header in self.objects]
        self.assertEqual(len(set(salts)), len(salts))
        self.assertEqual(len(set(key_ids)), len(key_ids))
        self.assertEqual(len(set(self.keys.values())), len(self.keys))
        opened = set()
        for header, objects in self.objects.items():
            first = {}
            for octets in objects:
                for index, record in enumerate(rfc8188.records(octets)):
                    if not any(record):  # a hole: this part of an upload has not come
                        continue
                    known = first.setdefault(index, record)
                    same = os.path.commonprefix([known.rstrip(b"\0"), record.rstrip(b"\0")])
                    self.assertGreaterEqual(
                        len(same),
                        min(len(known.rstrip(b"\0")), len(record.rstrip(b"\0"))),
                        f"record {index} under one header differs",
                    )
            if header in self.keys:
                whole = max(objects, key=len)
                opened.add(plaintexts.index(rfc8188.open_body(whole, self.keys[header])))
        return opened

    def start(self, lab, *options):
        return lab.start(
            "publish", "publish", self.source, "--dir", lab.dir, "--entitle", "alice", "--progress", "none", *options
        )

    def read(self, name):
        with open(name, "rb") as handle:
            return handle.read()

    def edit(self, back_to=None):
        """Another text of the same length: at the front, in the middle, at the end. The times may be set back: the
        inode's change time cannot."""
        with open(self.source, "r+b") as handle:
            for offset in (100, os.path.getsize(self.source) // 2, os.path.getsize(self.source) - 50):
                handle.seek(offset)
                handle.write(os.urandom(20))
        if back_to:
            os.utime(self.source, ns=(back_to.st_atime_ns, back_to.st_mtime_ns))

    def test_edited_while_sealing(self):
        lab = self.begun()
        self.source = make_file(self.path("film.mp4"), 24 * MIB)
        versions = [self.read(self.source)]
        publish = self.start(lab)
        self.assertTrue(
            publish.stop_when(
                "sealing", lambda: any(os.path.getsize(part) > 0 for part in self.spool(lab, "object.part-*"))
            ),
            "it ended before it could be stopped",
        )
        self.collect(lab)
        self.edit()
        versions.append(self.read(self.source))
        publish.go_on()
        self.assertEqual(publish.wait(), 1, publish.errors())
        self.assertIn("changed while it was read", publish.errors())
        self.assertEqual(publish.output(), "")
        self.assertEqual(lab.api("GET", "contents")[2]["contents"], [])
        self.assertEqual(self.spool(lab, "*"), [])
        # Killed this time, edited, and repeated.
        publish = self.start(lab)
        self.assertTrue(
            publish.stop_when(
                "sealing", lambda: any(os.path.getsize(part) > 0 for part in self.spool(lab, "object.part-*"))
            ),
            "it ended before it could be stopped",
        )
        self.collect(lab)
        publish.kill()
        self.edit(back_to=os.stat(self.source))
        versions.append(self.read(self.source))
        uri = lab.publish(self.source, "--entitle", "alice")
        self.collect(lab)
        self.assertEqual(len(self.objects), 3)
        self.assertEqual(self.check_nonces(versions), {2})
        lab.get_good(uri, "alice", self.path("alice"))
        self.assertEqual(self.read(self.path("alice")), versions[2])

    def test_edited_while_uploading(self):
        lab = self.begun()
        self.source = make_file(self.path("film.mp4"), 48 * MIB)
        versions = [self.read(self.source)]
        publish = self.start(lab)
        imports = lambda: any(
            os.stat(name).st_blocks * 512 > MIB
            for name in glob.glob(os.path.join(lab.dir, "cache", "objects", "*.data"))
        )
        self.assertTrue(publish.stop_when("an upload", imports), "it ended before it could be stopped")
        self.collect(lab)
        publish.kill()
        self.edit(back_to=os.stat(self.source))
        versions.append(self.read(self.source))
        uri = lab.publish(self.source, "--entitle", "alice")
        self.collect(lab)
        self.assertEqual(len(self.objects), 2)
        self.assertEqual(self.check_nonces(versions), {0, 1})
        states = {content["root"]: content["state"] for content in lab.api("GET", "contents")[2]["contents"]}
        self.assertEqual(states.pop(root_of(uri)), "offered")
        self.assertEqual(list(states.values()), ["importing"])  # the first one is not offered
        lab.get_good(uri, "alice", self.path("alice"))
        self.assertEqual(self.read(self.path("alice")), versions[1])

    def test_twice(self):
        lab = self.begun()
        self.source = make_file(self.path("film.mp4"), 2 * MIB)
        first, second = (
            lab.good("publish", self.source, "--entitle", "alice", "--json", "--progress", "none").json
            for _ in range(2)
        )
        self.collect(lab)
        self.assertNotEqual(first["root"], second["root"])
        self.assertNotEqual(first["cid"], second["cid"])
        self.assertEqual(len(self.objects), 2)
        self.assertEqual(len(self.keys), 2)
        self.assertEqual(self.check_nonces([self.read(self.source)]), {0})
        for name in glob.glob(os.path.join(lab.dir, "provider", "keys", "*")):
            self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)

    def test_small(self):
        """Empty and one octet, and the edges of a record, as another implementation reads them."""
        lab = self.begun()
        plaintexts = []
        for size in (0, 1, rfc8188.PLAIN - 1, rfc8188.PLAIN, rfc8188.PLAIN + 1):
            self.source = make_file(self.path(f"file-{size}"), size)
            plaintexts.append(self.read(self.source))
            uri = lab.publish(self.source, "--entitle", "alice")
            report = lab.get_good(uri, "alice", self.path("alice"))
            self.assertEqual(report["bytes"], size)
            self.assertEqual(self.read(self.path("alice")), plaintexts[-1])
        self.collect(lab)
        self.assertEqual(self.check_nonces(plaintexts), set(range(len(plaintexts))))

    def test_small_clear(self):
        lab = self.begun()
        for number, protection in enumerate(("session", "none")):
            self.source = make_file(self.path("empty"), 0)
            refused = lab.run(
                "publish", self.source, "--protect", protection, "--entitle", "alice", "--progress", "none"
            )
            self.assertEqual(refused.code, 2, refused.err)
            self.assertIn("only be published sealed", refused.err)
            self.source = make_file(self.path("one-" + protection), 1, seed=number)
            uri = lab.publish(self.source, "--protect", protection, "--entitle", "alice")
            lab.get_good(uri, "alice", self.path("alice"))
            self.assertEqual(self.read(self.path("alice")), self.read(self.source))
        self.assertEqual(self.spool(lab, "*"), [])

    def test_refusals(self):
        lab = self.begun()
        self.source = make_file(self.path("film.mp4"), MIB)
        for options, code, words in (
            (("/nowhere",), 3, "No such file"),
            ((self.work,), 2, "directory"),
            ((self.source, "--protect", "perfectly"), 2, "--protect"),
            ((self.source, "--entitle", "No Body"), 2, "no subscriber name"),
            ((self.source, "--protect", "none", "--key-out", self.path("key")), 2, "--key-out"),
        ):
            refused = lab.run("publish", *options, "--progress", "none")
            self.assertEqual((refused.code, refused.out), (code, ""), refused.err)
            self.assertIn(words, refused.err)
        self.assertEqual(lab.api("GET", "contents")[2]["contents"], [])

    def test_constant_memory(self):
        """The file does not pass through memory, neither at the provider nor at the cache."""
        if os.environ.get("SEALCAST_SANITIZER"):
            self.skipTest("a sanitizer's own memory would count too")
        lab = self.begun()
        up = lab.processes[0].process.pid
        self.source = self.path("sparse")
        with open(self.source, "wb") as handle:
            handle.truncate(256 * MIB)
        publish = subprocess.Popen(
            [SEALCAST, "publish", self.source, "--dir", lab.dir, "--public", "--progress", "none"],
            stdout=subprocess.PIPE,
        )
        uri = publish.stdout.read().decode().strip()
        publish.stdout.close()
        _, status, usage = os.wait4(publish.pid, 0)
        publish.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(publish.returncode, 0)
        self.assertLess(usage.ru_maxrss, 64 << 10)  # KiB
        self.assertEqual(lab.content(uri)["state"], "offered")
        with open(f"/proc/{up}/status", encoding="ascii") as handle:
            peak = next(int(line.split()[1]) for line in handle if line.startswith("VmHWM:"))
        self.assertLess(peak, 128 << 10)


if __name__ == "__main__":
    main()
