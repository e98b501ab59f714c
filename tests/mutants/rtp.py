"""SRTP: src/rtp."""
SRTP = "src/rtp/srtp.cpp"
TEST, QUICK = "rtp_test", "rtp_test:-*ThroughAWrap*"
MUTANTS = [
    ("the same index twice", SRTP, "if (static_cast<std::uint16_t>(s.next_index) != sequence || ", "if (", QUICK),
    ("packets of another SSRC out", SRTP, " || read_u32(packet.data + 8) != s.ssrc) continue;", ") continue;", QUICK),
    ("a key beyond its life", SRTP, " || s.sent >= s.options.lifetime)", ")", QUICK),
    (
        "a replay before authentication",
        SRTP,
        "    if (!r.window.fresh(index)) {\n      ++r.counters.replays;\n      continue;",
        "    if (false) {\n      continue;",
        QUICK,
    ),
    ("a replay within a batch", SRTP, "} else if (!r.window.fresh(index)) {", "} else if (false) {", QUICK),
    ("a replay of RTCP", SRTP, "if (!r.rtcp_window.fresh(index)) {", "if (false) {", QUICK),
    ("what does not authenticate", SRTP, "    if (!r.jobs[i].ok) {", "    if (false) {", QUICK),
    (
        "RTCP that does not authenticate",
        SRTP,
        "  if (!job.ok) {\n    ++r.counters.authentication_failures;",
        "  if (false) {\n    ++r.counters.authentication_failures;",
        QUICK,
    ),
    ("RTCP in the clear", SRTP, "if ((word & k_rtcp_encrypted) == 0) {", "if (false) {", QUICK),
    ("packets of another SSRC in", SRTP, ' || read_u32(packet.data + 8) != r.ssrc) {', ") {", QUICK),
    ("RTCP of another SSRC", SRTP, " || read_u32(packet.data + 4) != r.ssrc) {", ") {", QUICK),
    ("what is older than the window", SRTP, "return highest_ - index < size_ && ", "return ", QUICK),
    (
        "a window that remembers nothing",
        SRTP,
        "    bits_[index / 64 % bits_.size()] |= std::uint64_t{1} << (index % 64);\n",
        "",
        QUICK,
    ),
    (
        "a window that forgets nothing",
        SRTP,
        "for (auto i = highest_ + 1; i <= index; ++i) bits_",
        "for (auto i = index; i < index; ++i) bits_",
        TEST,
    ),
    (
        "a window learnt without authentication",
        SRTP,
        "    r.waiting.emplace_back(&packet, index);",
        "    r.waiting.emplace_back(&packet, index);\n    r.window.accept(index > 60000 ? index : 0);",
        TEST,
    ),
    ("one key for both uses", SRTP, "rtcp(key, 3, ssrc_), options", "rtcp(key, 0, ssrc_), options", QUICK),
    ("RTCP under one index", SRTP, "k_rtcp_encrypted | ++s.rtcp_index", "k_rtcp_encrypted | (s.rtcp_index + 1)", QUICK),
    ("a packet without room for its tag", SRTP, "packet.size + s.rtp.tag() > packet.capacity || ", "", QUICK),
    ("RTCP without room for its tag", SRTP, "packet.size + s.rtcp.tag() + 4 > packet.capacity ||", "", QUICK),
]
