"""Certificates that are renewed, end soon or have ended; names longer than a common name; what SIGHUP takes up."""
import datetime
import os
import signal
import socket
import ssl
import subprocess

from harness import LabTest, main, make_file, sha256, wait_until

LONG = "a" * 40 + ".ims.mnc001.mcc001.3gppnetwork.org"


class Certificates(LabTest):
    def issue(self, lab, place, name, begin, end):
        """A new agent.pem of `place`, valid from `begin` to `end` (days from now on)."""
        def run(*command):
            subprocess.run(("openssl", *command), check=True, capture_output=True, cwd=self.work)

        def stamp(days):
            when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
            return when.strftime("%Y%m%d%H%M%SZ")

        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
        run("req", "-new", "-key", "key.pem", "-subj", "/CN=" + name, "-out", "request.pem")
        for made in ("ca.index", "ca.index.attr"):
            with open(self.path(made), "w", encoding="ascii"):
                pass
        authority = os.path.join(lab.dir, "ca")
        with open(self.path("ca.conf"), "w", encoding="ascii") as conf:
            conf.write(f"[ca]\ndatabase={self.path('ca.index')}\nnew_certs_dir={self.work}\nrand_serial=yes\n"
                       "default_md=sha256\npolicy=any\nx509_extensions=ext\n[any]\ncommonName=supplied\n[ext]\n"
                       f"subjectAltName=DNS:{name},DNS:127.0.0.1,IP:127.0.0.1\n"
                       "extendedKeyUsage=serverAuth,clientAuth\n")
        run("ca", "-config", "ca.conf", "-name", "ca", "-batch", "-notext", "-in", "request.pem", "-out", "new.pem",
            "-cert", authority + "/ca.pem", "-keyfile", authority + "/ca-key.pem",
            "-startdate", stamp(begin), "-enddate", stamp(end))
        agent = os.path.join(lab.dir, place, "tls", "agent.pem")
        with open(agent + ".new", "w", encoding="ascii") as out:
            for part in ("new.pem", "key.pem"):
                with open(self.path(part), encoding="ascii") as text:
                    out.write(text.read())
        os.chmod(agent + ".new", 0o600)
        os.rename(agent + ".new", agent)
        with open(self.path("new.pem"), encoding="ascii") as text:
            return ssl.PEM_cert_to_DER_cert(text.read())

    def shown(self, address):
        """The certificate that a listener shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        host, port = address.rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), 5) as plain:
                with context.wrap_socket(plain) as secured:
                    return secured.getpeercert(True)
        except OSError:
            return None

    def test_renewed(self):
        """New files are in use without a restart, and nothing that runs ends."""
        lab = self.lab()
        up = lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("film.mp4"), 6 << 20)
        uri = lab.publish(source, "--entitle", "alice")
        ready = dict(word.split("=", 1) for word in up.output().split() if "=" in word)
        get = lab.start_get(uri, "alice", self.path("copy"), "--max-download-limit", "1M")
        get.wait_progress(1 << 20)
        before = lab.good("status", "--json").json["core"]
        new = self.issue(lab, "core", "core.sealcast.test", -1, 100)
        wait_until("the new certificate of the core", lambda: self.shown(ready["core"]) == new)
        after = lab.good("status", "--json").json["core"]
        for what in ("registrations", "bindings"):
            self.assertEqual(after[what], before[what], "nobody loses his registration")
        for place in ("tracker", "cache"):
            self.issue(lab, place, place + ".sealcast.test", -1, 100)
            wait_until(place + " to take it up", lambda: place + " goes on with its new files" in up.errors())
        self.assertEqual(get.wait(), 0, get.errors() + up.errors())
        self.assertEqual(sha256(self.path("copy")), sha256(source))
        self.assertTrue(up.running())
        lab.get_good(uri, "alice", self.path("again"))

    def test_broken_files_are_left_out(self):
        lab = self.lab()
        up = lab.up()
        agent = os.path.join(lab.dir, "core", "tls", "agent.pem")
        with open(agent, "r+", encoding="ascii") as handle:
            handle.truncate(100)
        wait_until("a complaint", lambda: "core goes on with what it had" in up.errors())
        self.assertEqual(up.errors().count("goes on with what it had"), 1)
        self.assertTrue(up.running())
        lab.good("status")

    def test_ends_soon(self):
        lab = self.lab()
        lab.good("init")
        self.issue(lab, "cache", "cache.sealcast.test", -1, 20)
        up = lab.up()
        self.assertIn("the certificate of cache.sealcast.test ends on", up.errors())
        found = lab.good("status", "--json").json["certificates"]
        self.assertIn("ends on", found["cache"]["warning"])
        self.assertNotIn("warning", found["core"])

    def test_expired(self):
        for begin, end, sentence in ((-100, -1, "has expired on"), (1, 100, "is not valid before")):
            lab = self.lab(f"lab{end}")
            lab.good("init")
            for place in ("core", "tracker", "cache"):
                self.issue(lab, place, place + ".sealcast.test", begin, end)
                role = lab.start(place, place, "-c", os.path.join(lab.dir, place + ".toml"))
                self.assertIn(role.wait(), (1, 2))
                self.assertIn(place + ".sealcast.test " + sentence, role.errors())

    def test_long_names(self):
        for domain, cache in ((LONG, "cache"), ("ims.mnc001.mcc001.3gppnetwork.org", "cache-" + "b" * 57)):
            lab = self.lab("lab-" + cache[:7])
            lab.up("--domain", domain, "--cache", cache)
            lab.subscribers("alice")
            source = make_file(self.path("film.mp4"), 200_000)
            uri = lab.publish(source, "--entitle", "alice")
            lab.get_good(uri, "alice", self.path("copy"))
            self.assertEqual(sha256(self.path("copy")), sha256(source))
            os.remove(self.path("copy"))
        for options in (("--domain", "c" * 64 + ".test"), ("--domain", ".".join(["d" * 60] * 4) + ".test"),
                        ("--cache", "cache-" + "e" * 58), ("--domain", "a..test")):
            done = lab.run("init", *options)
            self.assertEqual(done.code, 2, done.err)
            self.assertIn("is no", done.err)

    def test_level_of_the_log(self):
        lab = self.lab()
        lab.good("init")
        config = os.path.join(lab.dir, "core.toml")
        core = lab.start("core", "core", "-c", config).wait_ready()
        with open(config, encoding="utf-8") as handle:
            text = handle.read()
        with open(config, "w", encoding="utf-8") as handle:
            handle.write('log = "info"\n' + text)
        core.process.send_signal(signal.SIGHUP)
        core.process.send_signal(signal.SIGHUP)
        wait_until("the new level", lambda: core.process.send_signal(signal.SIGHUP) or "SIGHUP" in core.errors())
        self.assertTrue(core.running())


if __name__ == "__main__":
    main()
