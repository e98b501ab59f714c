"""No silent fallback: whoever answers with less than was asked for is refused by rule, hung up on, and gets no
datagram."""
import base64
import os
import re

from harness import LabTest, main, make_file, sha256, wait_until
from rogue import Rogue, good_line, key

NEGOTIATION = 10
ACCEPTED = ("OK", [])


class Refusal(LabTest):
    def rogue(self, protection, name="lab"):
        """Split roles; the content's only holder is dead and somebody else sits in its place, with its certificate."""
        lab = self.lab(name)
        lab.split()
        lab.subscribers("alice")
        self.source = make_file(self.path("film"), 100000)
        self.uri = lab.publish(
            self.source,
            "--protect",
            protection,
            "--entitle",
            "alice",
            "--socket",
            os.path.join(lab.dir, "cache", "admin.sock"),
        )
        lab.processes[2].kill()
        with open(os.path.join(lab.dir, "cache.toml"), encoding="utf-8") as file:
            address = re.search(r'^listen = "(.*?)"', file.read(), re.M).group(1)
        rogue = Rogue(lab, "cache", address, "cache@sealcast.test")
        self.addCleanup(rogue.close)
        return lab, rogue

    def refused(self, lab, rogue, play, rule, words, hung_up=True, side="answerer"):
        rogue.forget()
        rogue.play = play
        result = lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "15")
        self.assertEqual(result.code, NEGOTIATION, result.err)
        document = result.json
        self.assertEqual(document.get("rule", ""), rule, document)
        self.assertEqual(document["side"], side)
        self.assertIn(words, document["error"])
        self.assertFalse(os.path.exists(self.path("copy")))
        expected = ["INVITE", "ACK", "BYE"] if hung_up else ["INVITE", "ACK"]
        wait_until(
            f"the rogue to see {expected}",
            lambda: rogue.methods() == expected
            or (len(rogue.methods()) > len(expected) and self.fail(rogue.methods())),
            60,
        )
        if hung_up:
            self.assertTrue(
                any(rule in line for line in rogue.headers[2] if line.lower().startswith("reason:")), rogue.headers[2]
            )
        self.assertEqual(rogue.datagrams(), [])
        self.clean(result)
        offered = re.findall(r"inline:([A-Za-z0-9+/=]+)", rogue.offer)
        for secret in offered:
            self.assertNotIn(secret, result.err + result.out)
        return result

    def test_answers_that_weaken(self):
        lab, rogue = self.rogue("session")

        def with_sdp(**what):
            return lambda offer: (200, *ACCEPTED, rogue.answer(**what))

        def reflected(tag):
            return lambda offer: (
                200,
                *ACCEPTED,
                rogue.answer(crypto=[re.search(rf"^a=crypto:{tag} .*$", offer, re.M).group(0).strip()]),
            )

        def other_tag(offer):
            line = (
                re.search(r"^a=crypto:3 .*$", offer, re.M).group(0).strip()
            )  # our key of tag 3 under its own tag, another suite's length
            return 200, *ACCEPTED, rogue.answer(crypto=[line])

        plays = [
            (
                "RTP/AVPF for RTP/SAVPF",
                with_sdp(profile="RTP/AVPF", crypto=[]),
                "profile-mismatch",
                "RTP/AVPF answered",
            ),
            ("RTP/AVP", with_sdp(profile="RTP/AVP", crypto=[]), "profile-mismatch", "RTP/AVP"),
            ("RTP/AVPF with crypto", with_sdp(profile="RTP/AVPF"), "profile-mismatch", "RTP/AVPF answered"),
            ("no crypto", with_sdp(crypto=[]), "sdes-required", "a=crypto"),
            ("wrong tag", with_sdp(crypto=[good_line(7)]), "tag-mismatch", "tag 7"),
            (
                "other suite under the tag",
                with_sdp(crypto=[good_line(1, "AES_CM_128_HMAC_SHA1_80", 30)]),
                "suite-mismatch",
                "tag 1",
            ),
            ("our own key", reflected(1), "own-key-reflected", "our own key"),
            ("our own key of the third line", other_tag, "own-key-reflected", "our own key"),
            (
                "two lines",
                with_sdp(crypto=[good_line(1), good_line(2, "AES_CM_128_HMAC_SHA1_80", 30)]),
                "sdes-required",
                "2 a=crypto",
            ),
            (
                "one line that is good and one that is not",
                with_sdp(crypto=[good_line(1), good_line(2, "NULL_HMAC_SHA1_80", 30)]),
                "no-common-suite",
                "NULL_HMAC_SHA1_80",
            ),
            (
                "unencrypted",
                with_sdp(crypto=[good_line(1, more=" UNENCRYPTED_SRTP")]),
                "unsupported-parameter",
                "UNENCRYPTED_SRTP",
            ),
            (
                "unencrypted RTCP",
                with_sdp(crypto=[good_line(1, more=" UNENCRYPTED_SRTCP")]),
                "unsupported-parameter",
                "UNENCRYPTED_SRTCP",
            ),
            (
                "unauthenticated",
                with_sdp(crypto=[good_line(1, more=" UNAUTHENTICATED_SRTP")]),
                "unsupported-parameter",
                "UNAUTHENTICATED_SRTP",
            ),
            (
                "short tag",
                with_sdp(crypto=[good_line(1, "AES_CM_128_HMAC_SHA1_32", 30)]),
                "no-common-suite",
                "AES_CM_128_HMAC_SHA1_32",
            ),
            ("short key", with_sdp(crypto=[good_line(1, octets=16)]), "no-common-suite", "28 octets"),
            ("MKI", with_sdp(crypto=[good_line(1, more="|2^31|1:4")]), "unsupported-parameter", "MKI"),
        ]
        contacts = []
        for what, play, rule, words in plays:
            with self.subTest(what):
                self.refused(lab, rogue, play, rule, words)
                contacts += [line for line in rogue.headers[0] if line.lower().startswith(("contact:", "m:"))]
        # The device's address has a user part of its own in each run, and no name.
        self.assertEqual(len(set(re.findall(r"sip:(\w+)@", "".join(contacts)))), len(plays), contacts)
        self.assertNotIn("alice", "".join(contacts))

    def test_answers_that_break_the_profile(self):
        lab, rogue = self.rogue("sealed+session")

        def with_sdp(**what):
            return lambda offer: (200, *ACCEPTED, rogue.answer(**what))

        def refusal(rule):
            return lambda offer: (
                488,
                "Not Acceptable Here",
                [f'Warning: 399 cache.sealcast.test "{rule}: because"'] if rule else [],
                "",
            )

        plays = [
            ("RTP/SAVP", with_sdp(profile="RTP/SAVP"), "profile-mismatch", "RTP/SAVP", True),
            ("no ssrc", with_sdp(without=["a=ssrc"]), "ssrc-required", "a=ssrc", True),
            ("no rtcp-mux", with_sdp(without=["a=rtcp-mux"]), "rtcp-mux-required", "a=rtcp-mux", True),
            ("no feedback", with_sdp(without=["a=rtcp-fb"]), "fmtp-mismatch", "a=rtcp-fb", True),
            ("no format", with_sdp(without=["a=fmtp"]), "fmtp-mismatch", "a=fmtp", True),
            ("port 0", with_sdp(port=0), "no-media-line", "media section", True),
            ("no SDP at all", lambda offer: (200, *ACCEPTED, ""), "no-media-line", "", True),
            ("garbage", lambda offer: (200, *ACCEPTED, "\x1b[31m\u202e" * 100), "no-media-line", "", True),
            ("488 with a rule", refusal("no-common-suite"), "no-common-suite", "because", False),
            ("488 with another", refusal("inline-key-needs-tls"), "inline-key-needs-tls", "because", False),
            (
                "488 with more than words",
                lambda offer: (
                    488,
                    "\x1b[31mNo\u202e",
                    ['Warning: 399 x "no-common-suite: be\x1b[31mcause\u202e\x9b"'],
                    "",
                ),
                "no-common-suite",
                "be",
                False,
            ),
            ("488 for the stronger offer", refusal("profile-mismatch"), "profile-mismatch", "because", False),
            ("488 without a reason", refusal(""), "", "without a reason", False),
        ]
        for what, play, rule, words, hung_up in plays:
            with self.subTest(what):
                self.refused(lab, rogue, play, rule, words, hung_up)

    def test_answers_that_fit(self):
        """The control: a fitting answer, with whichever of our suites, brings datagrams to the very port, and none of
        them in the clear."""
        lab, rogue = self.rogue("sealed+session")
        root = base64.urlsafe_b64decode(self.uri[len("sealcast:") :][:43] + "=")
        for tag, suite, octets in (
            (1, "AEAD_AES_128_GCM", 28),
            (2, "AES_CM_128_HMAC_SHA1_80", 30),
            (3, "AEAD_AES_256_GCM", 44),
        ):
            with self.subTest(suite):
                rogue.forget()
                rogue.play = lambda offer, line=good_line(tag, suite, octets): (
                    200,
                    *ACCEPTED,
                    rogue.answer(crypto=[line]),
                )
                result = lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "1")
                self.assertEqual(result.code, 5, result.err)
                self.assertIn("no peer has answered", result.err)
                datagrams = rogue.datagrams()
                self.assertGreater(len(datagrams), 0)
                for datagram in datagrams:
                    self.assertNotIn(root, datagram)
        # Unsealed and unsecured the same root is there to be read: the test can see it.
        uri = self.uri
        lab, rogue = self.rogue("none", "open")
        rogue.play = lambda offer: (200, *ACCEPTED, rogue.answer(profile="RTP/AVPF", crypto=[]))
        self.assertEqual(lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "1").code, 5)
        self.assertNotEqual(uri, self.uri)
        root = base64.urlsafe_b64decode(self.uri[len("sealcast:") :][:43] + "=")
        self.assertTrue(any(root in datagram for datagram in rogue.datagrams()))

    def test_upward_once(self):
        """Sealed content is offered without SRTP; who refuses that gets one stronger offer, and no third."""
        lab, rogue = self.rogue("sealed")
        rogue.play = lambda offer: (
            488,
            "Not Acceptable Here",
            ['Warning: 399 cache.sealcast.test "sdes-required: SRTP here"'],
            "",
        )
        result = lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "15")
        self.assertEqual(
            (result.code, result.json["rule"], result.json["side"]),
            (NEGOTIATION, "sdes-required", "answerer"),
            result.err,
        )
        self.assertEqual(rogue.methods(), ["INVITE", "ACK"] * 2)
        self.assertIn("RTP/SAVPF", rogue.offer)
        # The stronger one is not taken back: an answer to it must be as strong.
        for profile, crypto, rule in (("RTP/AVPF", [], "profile-mismatch"), ("RTP/SAVPF", [], "sdes-required")):
            rogue.forget()

            def second(offer, profile=profile, crypto=crypto):
                if "RTP/AVPF" in offer:
                    return (
                        488,
                        "Not Acceptable Here",
                        ['Warning: 399 cache.sealcast.test "sdes-required: SRTP here"'],
                        "",
                    )
                return 200, *ACCEPTED, rogue.answer(profile=profile, crypto=crypto)

            rogue.play = second
            result = lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "15")
            self.assertEqual((result.code, result.json["rule"]), (NEGOTIATION, rule), result.err)
            wait_until("BYE", lambda: rogue.methods() == ["INVITE", "ACK", "INVITE", "ACK", "BYE"])
            self.assertEqual(rogue.datagrams(), [])
        # Whoever answers RTP/SAVPF to RTP/AVPF is not understood either.
        rogue.forget()
        rogue.play = lambda offer: (200, *ACCEPTED, rogue.answer())
        result = lab.get(self.uri, "alice", self.path("copy"), "--stall-timeout", "15")
        self.assertEqual((result.code, result.json["rule"]), (NEGOTIATION, "profile-mismatch"), result.err)

    def test_local_policy_is_stricter(self):
        """A cache, and then a subscriber, that wants SRTP for everything gets it."""
        lab = self.lab()
        lab.good("init")
        self.set(lab, "cache.toml", "require_srtp = true")
        lab.up()
        lab.subscribers("alice", "bob")
        source = make_file(self.path("film"), 300000)
        sealed = lab.publish(source, "--protect", "sealed", "--public")
        report = lab.get_good(sealed, "alice", self.path("a"))
        self.assertEqual((report["protection"], report["suite"]), ("sealed", "AEAD_AES_128_GCM"))
        self.assertEqual(sha256(self.path("a")), sha256(source))
        self.set(lab, "ue.toml", "require_srtp = true")
        clear = lab.publish(make_file(self.path("clear"), 200000, seed=2), "--protect", "none", "--public")
        self.assertEqual(lab.get_good(clear, "bob", self.path("b"))["suite"], "AEAD_AES_128_GCM")

    def set(self, lab, file, line):
        with open(os.path.join(lab.dir, file), "a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def test_no_key_without_tls(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("film"), 300000)
        session = lab.publish(source, "--protect", "session", "--entitle", "alice")
        both = lab.publish(source, "--entitle", "alice")
        sealed = lab.publish(source, "--protect", "sealed", "--entitle", "alice")
        clear = lab.publish(make_file(self.path("clear"), 1000, seed=2), "--protect", "none", "--entitle", "alice")
        with open(os.path.join(lab.dir, "core.toml"), encoding="utf-8") as file:
            tcp = re.search(r'^ue_tcp = "(.*?)"', file.read(), re.M).group(1)
        path = os.path.join(lab.dir, "ue.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"^transport = .*$", 'transport = "tcp"', text, flags=re.M)
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^core = .*$", f'core = "{tcp}"', text, flags=re.M))
        for uri in (session, both):
            result = lab.get(uri, "alice", self.path("copy"), "--stall-timeout", "15")
            self.assertEqual(
                (result.code, result.json["rule"], result.json["side"]),
                (NEGOTIATION, "inline-key-needs-tls", "offerer"),
                result.err,
            )
            self.assertFalse(os.path.exists(self.path("copy")))
        # No key in SDP, none needed.
        for uri in (sealed, clear):
            self.assertEqual(lab.get_good(uri, "alice", self.path("copy"))["suite"], "")
        # A subscriber who does not care: the core does, and says so.
        self.set(lab, "ue.toml", "")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("insecure_signalling = false", "insecure_signalling = true"))
        result = lab.get(session, "alice", self.path("never"), "--stall-timeout", "15")
        self.assertEqual(
            (result.code, result.json["rule"], result.json["side"]),
            (NEGOTIATION, "inline-key-needs-tls", "answerer"),
            result.err,
        )
        self.assertFalse(os.path.exists(self.path("never")))

    def test_insecure_signalling_is_asked_for(self):
        lab = self.lab()
        lab.up("--insecure-signalling")
        lab.subscribers("alice")
        uri = lab.publish(make_file(self.path("film"), 100000), "--protect", "session", "--entitle", "alice")
        self.assertEqual(lab.get_good(uri, "alice", self.path("copy"))["suite"], "AEAD_AES_128_GCM")

    def test_clear_content_is_asked_for(self):
        lab = self.lab()
        lab.up()
        source = make_file(self.path("film"), 1000)
        self.assertEqual(
            lab.good("publish", source, "--public", "--json", "--progress", "none").json["protection"], "sealed+session"
        )
        self.assertEqual(
            lab.good("publish", source, "--public", "--protect", "none", "--json", "--progress", "none").json[
                "protection"
            ],
            "none",
        )
        # The same octets were clear already: that does not bring them down again.
        self.assertEqual(
            lab.good("publish", source, "--public", "--protect", "session", "--json", "--progress", "none").json[
                "protection"
            ],
            "session",
        )
        lower = lab.run("publish", source, "--public", "--protect", "none", "--progress", "none")
        self.assertNotEqual(lower.code, 0)
        self.assertIn("weaker", lower.err)

    def test_explain(self):
        lab = self.lab()
        keys = [key(28), key(30), key(44)]

        def sdp(name, profile="RTP/SAVPF", crypto=None, without=("?",)):
            lines = [
                "v=0",
                "o=- 1 1 IN IP4 192.0.2.1",
                "s=-",
                "c=IN IP4 192.0.2.1",
                "t=0 0",
                f"m=application 4000 {profile} 98",
                "a=rtpmap:98 vnd.p2pcds.ppspp/1000000",
                "a=rtcp-fb:* ack ccfb",
                "a=fmtp:98 ver=1; cam=2; mhf=2; maxdg=1204; ig=run; role=both",
                *(
                    [
                        f"a=crypto:1 AEAD_AES_128_GCM inline:{keys[0]}|2^31 WSH=16384",
                        f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{keys[1]}|2^31",
                    ]
                    if crypto is None
                    else crypto
                ),
                "a=ssrc:7 cname:x",
                "a=rtcp-mux",
            ]
            path = self.path(name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("\r\n".join(line for line in lines if not line.startswith(without)) + "\r\n")
            return path

        offer, fresh = sdp("offer"), f"a=crypto:1 AEAD_AES_128_GCM inline:{keys[2][:38]}=="
        plays = [
            ((offer,), 0, "AEAD_AES_128_GCM"),
            ((offer, sdp("a0", crypto=[good_line(1)])), 0, "they agree: AEAD_AES_128_GCM"),
            (
                (sdp("cm", crypto=[good_line(5, "AES_CM_128_HMAC_SHA1_80", 30)]),),
                0,
                "would answer with AES_CM_128_HMAC_SHA1_80",
            ),
            (
                (
                    sdp("cm", crypto=[good_line(5, "AES_CM_128_HMAC_SHA1_80", 30)]),
                    sdp("a", crypto=[good_line(5, "AES_CM_128_HMAC_SHA1_80", 30)]),
                ),
                0,
                "they agree: AES_CM",
            ),
            ((sdp("avpf", profile="RTP/AVPF", crypto=[]),), 0, "without SRTP"),
            ((sdp("none", crypto=[]),), NEGOTIATION, "(sdes-required)"),
            ((sdp("f8", crypto=[good_line(1, "F8_128_HMAC_SHA1_80", 30)]),), NEGOTIATION, "(no-common-suite)"),
            ((sdp("mki", crypto=[good_line(1, more="|2^31|1:4")]),), NEGOTIATION, "(unsupported-parameter)"),
            ((sdp("ssrc", without=("a=ssrc",)),), NEGOTIATION, "(ssrc-required)"),
            ((offer, sdp("a1", profile="RTP/AVPF", crypto=[])), NEGOTIATION, "(profile-mismatch)"),
            ((offer, sdp("a2", crypto=[])), NEGOTIATION, "(sdes-required)"),
            ((offer, sdp("a3", crypto=[good_line(9)])), NEGOTIATION, "(tag-mismatch)"),
            ((offer, sdp("a4", crypto=[good_line(2)])), NEGOTIATION, "(suite-mismatch)"),
            ((offer, offer), NEGOTIATION, "2 a=crypto"),
            (
                (offer, sdp("a5", crypto=[f"a=crypto:1 AEAD_AES_128_GCM inline:{keys[0]}"])),
                NEGOTIATION,
                "(own-key-reflected)",
            ),
            ((offer, sdp("a6", crypto=[good_line(1, more=" UNENCRYPTED_SRTP")])), NEGOTIATION, "UNENCRYPTED_SRTP"),
        ]
        for files, code, words in plays:
            with self.subTest(words=words, files=[os.path.basename(each) for each in files]):
                result = lab.run("sdp", "explain", *files)
                self.assertEqual(result.code, code, result.err)
                self.assertIn(words, result.out + result.err)
                for secret in [*keys, fresh]:
                    self.assertNotIn(secret, result.out + result.err)
        make_file(self.path("noise"), 5000)
        self.assertEqual(lab.run("sdp", "explain", self.path("noise")).code, NEGOTIATION)
        self.assertEqual(lab.run("sdp", "explain", self.path("missing")).code, 1)


if __name__ == "__main__":
    main()
