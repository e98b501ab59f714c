#!/usr/bin/env python3
"""Checks of the house rules (docs/architecture.md, CONTRIBUTING.md) that no compiler makes.

    lint.py CHECK...      runs checks; without one, all of them
    lint.py --self-test   shows that every check can fail

Each finding is one line "file:line: sentence" on stdout; the exit code is 1 when there is one.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# --- the picture of docs/architecture.md ----------------------------------------------------------

LAYERS = {
    "base": 0,
    "crypto": 1,
    "content": 2,
    "rtp": 2,
    "sdp": 2,
    "ppspp": 2,
    "keys": 2,
    "tracking": 2,
    "swarm": 3,
    "os": 3,
    "io": 4,
    "sip": 4,
    "sim": 4,
    "store": 4,
    "roles": 5,
    "apps": 6,
}
# Arrows inside a layer; all others there are forbidden. A new one needs an ADR.
SIDEWAYS = {("ppspp", "content"), ("keys", "content"), ("tracking", "content"), ("sdp", "rtp"), ("sip", "io")}
# Folders of a module that lie side by side: each sees its module's root and `common`, and none sees another.
ROOMS = {"roles": ["core", "tracker", "cache", "ue", "provider"], "sip": ["agent", "core"]}
SANS_IO = [module for module, layer in LAYERS.items() if layer <= 3 and module != "os" or module == "sim"]

# What a room asks an interface for and may not see itself: its files, those behind the interface, headers, why.
SEAMS = [
    (["src/roles/common/*", "src/roles/ue/*"], [], ["os/clock.hpp"], "time is asked of base/timers.hpp (ADR 14)"),
    (
        ["src/roles/common/*"],
        ["src/roles/common/media_node.*"],
        ["io/loop.hpp", "io/media_driver.hpp", "roles/common/media_node.hpp", "sip/agent/agent.hpp"],
        "it sees Timers, MediaPlane and Signalling, and is tested without the others (ADR 14)",
    ),
]

# Foreign headers: pattern of the include, files that may have it, why.
FOREIGN = [
    ("openssl/*", ["src/crypto/*"], "crypto is the only place that names OpenSSL"),
    ("intel-ipsec-mb.h", ["src/crypto/*"], "crypto is the only place that names ipsec-mb"),
    ("sofia-sip/*", ["src/sip/*"], "the SIP stack is behind sip/agent/agent.hpp and sip/core/core.hpp (ADR 1)"),
    ("sqlite3.h", ["src/store/*"], "the database is behind store/database.hpp"),
    ("nlohmann/*", ["src/base/json.cpp"], "JSON is behind base/json.hpp"),
    ("tl/*", ["src/base/result.hpp"], "results are behind base/result.hpp"),
    ("boost/*", ["src/io/http*.cpp"], "HTTP is behind io/http.hpp"),
    ("CLI/*", ["apps/*"], "the command line is the program's"),
    ("toml++/*", ["apps/*"], "configuration files are read by the program"),
    ("spdlog/*", ["apps/*"], "logging is behind base/log.hpp"),
    ("srtp2/*", ["src/rtp/*_test.cpp"], "libsrtp is the oracle of the tests, never the data path"),
    ("gtest/*", ["src/*_test.cpp"], "tests only"),
    ("gmock/*", ["src/*_test.cpp"], "tests only"),
]

# L0-L3 and the simulator touch no socket, file, thread, clock or random device.
BANNED_HEADERS = """thread mutex shared_mutex condition_variable future semaphore latch barrier stop_token fstream
 iostream filesystem ctime time.h unistd.h fcntl.h poll.h pthread.h
 signal.h csignal netdb.h ifaddrs.h dirent.h sys/* netinet/* arpa/* net/* linux/*""".split()
BANNED_CODE = [
    (
        r"\b(?:steady_clock|system_clock|high_resolution_clock|utc_clock|file_clock)\b",
        "reads a clock: time is an argument",
    ),
    (
        r"\bclock_gettime\s*\(|\bgettimeofday\s*\(|(?<![\w.>])(?:std::|::)?time\s*\(\s*(?:nullptr|NULL|0|&)",
        "reads a clock: time is an argument",
    ),
    (
        r"\brandom_device\b|\bgetrandom\s*\(|\bRAND_(?:priv_)?bytes\b|(?<![\w.>])s?rand\s*\(",
        "uses a random device: the source is an argument",
    ),
    (r"\bgetenv\s*\(|\bsetenv\s*\(", "reads the environment"),
    (r"\bsleep_for\b|\bsleep_until\b|\bu?sleep\s*\(|\bnanosleep\s*\(", "sleeps"),
    (r"\bstd::(?:j?thread|async|mutex|shared_mutex|recursive_mutex|condition_variable)\b", "uses threads"),
    (r"\bfopen\s*\(|\bstd::[io]?fstream\b|\bstd::(?:cout|cerr|clog|cin)\b|\bf?printf\s*\(", "does input or output"),
    (
        r"(?<![\w.>])::(?:socket|connect|bind|send|recv|sendto|recvfrom|sendmsg|recvmsg|open|close|read|write|mmap)"
        r"\s*\(",
        "makes a system call",
    ),
]
SANS_IO_EXEMPT = {("src/base/assert.hpp", "does input or output"): "the last words of a process that is about to end"}

COLUMNS = 120
# Markdown is read rendered, and a row of a table cannot be broken; the corpus is data; the licence is not ours.
COLUMN_SUFFIXES = (".hpp", ".cpp", ".py", ".sh", ".cmake", ".txt", ".toml", ".json", ".service", ".target", "")
CLANG_FORMAT = "clang-format-14"  # the one of Debian 12: other versions write some lines otherwise

SIZES = {"header": 400, "source": 700, "test": 800, "function": 60, "switch": 100}

# What reads octets from outside, besides every parse_*: each must be called by a harness in tests/fuzz.
DECODERS = (
    r"(?:parse|parse_\w+|verify_\w+|jws_verify\w*|jws_peek|jws_of_body|"
    r"jwe_decrypt|unprotect|unprotect_rtcp|open_metadata|is_sealed_header|check_answer|check_against|"
    r"rid_of_\w+|from_(?:jwk|pem|octets|coordinates)|classify|sender_ssrc|decide|printable|safe_file_name|is_utf8)"
)
FUZZ_EXEMPT = {
    "sdp::check_answer": None,  # not exempt; listed so that its qualified name is looked for (keys has one too)
    "keys::check_answer": None,
    "base::is_utf8": "called by printable, which has one",
}
FUZZ_MODULES = SANS_IO

DOCS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/threat-model.md",
    "docs/operations.md",
    "docs/protocol.md",
]
TREES = "src|apps|tests|docs|scripts|cmake|packaging|bench"

# Words of other systems for what docs/glossary.md names.
WRONG_WORDS = {
    "torrent": "content",
    "infohash": "swarm id",
    "bitfield": "bitmap",
    "manifest": "description",
    "leecher": "leech",
    "kms": "key service",
}
# A path of somebody's machine; put together here so that this file does not hold one.
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot", "Us" + "ers"]) + r")/[\w.-]+"
)


# --- reading --------------------------------------------------------------------------------------


class Tree:
    """The repository below `root`; paths are relative, with forward slashes."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def files(self, *folders, suffixes=(".hpp", ".cpp")):
        """Below these folders; "." means the files of the root itself."""
        for folder in folders:
            for path in sorted((self.root / folder).glob("*") if folder == "." else (self.root / folder).rglob("*")):
                if path.is_file() and path.suffix in suffixes:
                    yield path.relative_to(self.root).as_posix()

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def exists(self, pattern):
        return (
            (self.root / pattern).exists()
            if not any(c in pattern for c in "*?")
            else next(self.root.glob(pattern), None) is not None
        )


def module_of(name):
    parts = name.split("/")
    return "apps" if parts[0] == "apps" else parts[1]


def is_test(name):
    return name.endswith("_test.cpp")


TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def bare(text):
    """Code without comments and without what stands in quotes; lines keep their numbers. 1'000 keeps its quote."""

    def blank(match):
        found = match.group(0)
        if found[0] == "'" and match.start() > 0 and text[match.start() - 1].isalnum():
            return found
        lines = "\n" * found.count("\n")
        return " " + lines if found.startswith(("//", "/*")) else found[0] * 2 + lines

    return TOKENS.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def includes(text):
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.M):
        yield line_of(text, match.start()), match.group(1), match.group(2)


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


# --- checks: each yields findings -----------------------------------------------------------------


def room_of(path):
    """Of "roles/cache/x.hpp": cache; None: it lies in no room."""
    parts = path.removeprefix("src/").split("/")
    return parts[1] if len(parts) > 2 and parts[1] in ROOMS.get(parts[0], []) + ["common"] else None


def strange_room(name, header):
    """Tests of one room may lie in a bigger picture: they see all."""
    theirs = room_of(header)
    if theirs is None or is_test(name) or room_of(name) == theirs:
        return False
    return theirs != "common"


def layers(tree):
    for name in tree.files("src", "apps"):
        module = module_of(name)
        if module not in LAYERS:
            yield f"{name}:1: the module {module} is in no layer"
            continue
        for line, kind, header in includes(tree.text(name)):
            if kind == '"':
                for files, behind, hidden, why in SEAMS:
                    if matches(name, files) and not matches(name, behind) and header in hidden and not is_test(name):
                        yield f"{name}:{line}: may not include \"{header}\": {why}"
                other = header.split("/")[0]
                if "/" not in header or (is_test(name) and header.startswith("tests/support/")):
                    if "/" not in header and module != "apps":
                        yield f"{name}:{line}: \"{header}\" has no module in its name"
                    continue
                if other not in LAYERS:
                    yield f"{name}:{line}: includes \"{header}\", which belongs to no module"
                elif other == module:
                    if strange_room(name, header):
                        yield f"{name}:{line}: includes \"{header}\" of the room next door"
                elif "/detail/" in header:
                    yield f"{name}:{line}: \"{header}\" is private to {other}"
                elif LAYERS[other] >= LAYERS[module] and (module, other) not in SIDEWAYS:
                    yield f"{name}:{line}: {module} (L{LAYERS[module]}) may not see {other} (L{LAYERS[other]})"
            else:
                rules = [rule for rule in FOREIGN if fnmatch.fnmatch(header, rule[0])]
                if rules and not any(matches(name, rule[1]) for rule in rules):
                    yield f"{name}:{line}: may not include <{header}>: {rules[0][2]}"


def sans_io(tree):
    for name in tree.files(*(f"src/{module}" for module in SANS_IO)):
        if is_test(name):
            continue
        text = tree.text(name)
        for line, kind, header in includes(text):
            if kind == "<" and matches(header, BANNED_HEADERS):
                yield f"{name}:{line}: <{header}> has no place in L0-L3"
        code = bare(text)
        for pattern, why in BANNED_CODE:
            for found in re.finditer(pattern, code):
                if (name, why) not in SANS_IO_EXEMPT:
                    yield f"{name}:{line_of(code, found.start())}: {found.group(0).strip()} {why}"


def without_templates(head):
    while (at := re.search(r"\btemplate\s*<", head)) is not None:
        depth, end = 1, at.end()
        while end < len(head) and depth > 0:
            depth += {"<": 1, ">": -1}.get(head[end], 0)
            end += 1
        head = head[: at.start()] + head[end:]
    return head


def kind_of_block(head):
    """What the "{" behind `head` opens at namespace or class level: scope, function, member (an initialiser in a
    constructor's list), data."""
    head = without_templates(head).strip()
    if re.search(r"\bnamespace\b", head) or re.match(r"extern\b[^()]*$", head):
        return "scope"
    if re.match(r"[^()=]*\b(class|struct|union)\b[^()=]*$", re.sub(r"\balignas\s*\([^()]*\)", "", head)):
        return "scope"
    if "(" not in head or re.search(r"\benum\b", head):
        return "data"
    if (
        head.endswith(")")
        or re.search(r"(\b(const|noexcept|override|final|mutable|try)|&)$", head)
        or "->" in head[head.rfind(")") :]
    ):
        return "function"
    if re.search(r"\)[^()]*:", head) and re.search(r"[\w>]$", head):
        return "member"
    return "data"


def functions(text):
    """(first line, lines, body) of each function; nested lambdas belong to the one around them."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: "\n" * m.group(0).count("\n"), bare(text), flags=re.M)
    stack, head_from, at = [], 0, 0
    while at < len(code):
        c = code[at]
        if c == "{":
            kind = "inner" if stack and stack[-1][0] != "scope" else kind_of_block(code[head_from:at])
            stack.append((kind, at))
            if kind in ("scope", "function", "data"):
                head_from = at + 1
        elif c == "}" and stack:
            kind, start = stack.pop()
            if kind == "function":
                body = code[start : at + 1]
                yield line_of(code, start), body.count("\n") + 1, body
            if kind in ("scope", "function", "data") and (not stack or stack[-1][0] == "scope"):
                head_from = at + 1
        elif c == ";" and (not stack or stack[-1][0] == "scope"):
            head_from = at + 1
        at += 1


def read_exemptions(tree):
    """File -> reason: lines "file # reason"."""
    out = {}
    if tree.exists("tests/lint/size_allow.txt"):
        for line in tree.text("tests/lint/size_allow.txt").splitlines():
            name, _, reason = line.partition("#")
            if name.strip():
                out[name.strip()] = reason.strip()
    return out


def sizes(tree):
    allowed = read_exemptions(tree)
    for name, reason in allowed.items():
        if not reason or not tree.exists(name):
            yield f"tests/lint/size_allow.txt:1: {name} " + ("has no reason" if not reason else "does not exist")
    for name in tree.files("src", "apps", "tests", "bench"):
        if name in allowed:
            continue
        text = tree.text(name)
        kind = "test" if is_test(name) or name.startswith("tests/") else "header" if name.endswith(".hpp") else "source"
        lines = text.count("\n")
        if lines > SIZES[kind]:
            yield f"{name}:1: {lines} lines; a {kind} file may have {SIZES[kind]}"
        for line, length, body in functions(text):
            dispatch = len(re.findall(r"\bcase\b", body)) >= 5
            limit = SIZES["switch" if dispatch else "function"]
            if length > limit:
                yield f"{name}:{line}: a function of {length} lines; the limit is {limit}"


def decoders(tree):
    """(file, line, module, name) of what reads octets from outside, as headers declare it."""
    for name in tree.files(*(f"src/{module}" for module in FUZZ_MODULES), suffixes=(".hpp",)):
        code = bare(tree.text(name))
        for found in re.finditer(r"^(?:[ \t]*)(?!return\b)[\w:<>,&* \t]+?[ \t&*>](" + DECODERS + r")\(", code, re.M):
            yield name, line_of(code, found.start(1)), module_of(name), found.group(1)


def parsers_have_fuzzers(tree):
    harnesses = "\n".join(bare(tree.text(name)) for name in tree.files("tests/fuzz", suffixes=(".cpp",)))
    for name, line, module, function in decoders(tree):
        qualified = f"{module}::{function}"
        reason = FUZZ_EXEMPT.get(qualified, "")
        if reason:
            continue
        wanted = qualified if function == "parse" or reason is None else function
        if module == "base" and function == "parse":
            wanted = "json::parse"
        if not re.search(r"\b" + re.escape(wanted) + r"\(", harnesses):
            yield f"{name}:{line}: no harness in tests/fuzz calls {wanted}()"
    written = (
        re.search(r"set\(harnesses([^)]*)\)", tree.text("tests/fuzz/CMakeLists.txt"))
        if tree.exists("tests/fuzz/CMakeLists.txt")
        else None
    )
    listed = set(written.group(1).split()) if written else set()
    for name in tree.files("tests/fuzz", suffixes=(".cpp",)):
        stem = pathlib.PurePosixPath(name).stem
        if "LLVMFuzzerTestOneInput(" in tree.text(name) and stem not in listed and stem != "replay_main":
            yield f"{name}:1: this harness is not built (tests/fuzz/CMakeLists.txt)"


def docs_paths(tree):
    for name in DOCS:
        if not tree.exists(name):
            continue
        text = tree.text(name)
        for found in re.finditer(r"(?<![\w/.:-])((?:" + TREES + r")/[\w./*-]*[\w*])", text):
            path = found.group(1)
            if not tree.exists(path) and not tree.exists(path + ".*"):
                yield f"{name}:{line_of(text, found.start())}: {path} does not exist"
        for found in re.finditer(r"`([a-z]+)::([A-Za-z_:]+)`", text):
            module, names = found.groups()
            code = "\n".join(tree.text(each) for each in tree.files(f"src/{module}", suffixes=(".hpp",)))
            missing = [each for each in names.split("::") if not re.search(r"\b" + each + r"\b", code)]
            if missing:
                yield f"{name}:{line_of(text, found.start())}: src/{module} knows no {missing[0]}"


def headers(tree):
    for name in tree.files("src", "apps", "tests", "bench"):
        text = tree.text(name)
        if name.endswith(".hpp") and not text.startswith("#pragma once\n"):
            yield f"{name}:1: a header begins with #pragma once"
        if not text.endswith("\n"):
            yield f"{name}:{text.count(chr(10)) + 1}: the last line does not end"
        if (at := text.find("\t")) >= 0:
            yield f"{name}:{line_of(text, at)}: a tab"
        own = name[4:].removesuffix(".cpp") + ".hpp" if name.startswith("src/") and name.endswith(".cpp") else ""
        listed = [header for _, _, header in includes(text)]
        if own in listed and listed[0] != own:
            yield f"{name}:1: the first include of a source is its own header, \"{own}\""


def words(tree):
    suffixes = (".hpp", ".cpp", ".py", ".md", ".txt", ".cmake", ".json", ".service", ".toml", "")
    for name in tree.files("src", "apps", "tests", "bench", "docs", "scripts", "cmake", "packaging", suffixes=suffixes):
        try:
            text = tree.text(name)
        except UnicodeDecodeError:
            continue
        if "/corpus/" in name:
            continue
        for found in MACHINE_PATH.finditer(text):
            yield f"{name}:{line_of(text, found.start())}: {found.group(0)} is a path of one machine"
        if name.startswith(("src/", "apps/")):
            code = bare(text)
            for wrong, right in WRONG_WORDS.items():
                for found in re.finditer(rf"(?i)(?:\b|_|(?<=[a-z])(?=[A-Z])){wrong}(?:\b|_|s\b|(?=[A-Z]))", code):
                    at = line_of(code, found.start())
                    yield f"{name}:{at}: \"{wrong}\" is called {right} here (docs/glossary.md)"


STDOUT = re.compile(r"\bstd::cout\b|\bstdout\b|\bSTDOUT_FILENO\b|(?<![\w.>])(?:std::|::)?(?:printf|puts|putchar)\s*\(")
STDOUT_OWNERS = ["apps/sealcast/output.cpp", "src/os/limits.cpp"]  # the latter looks whether it is open


def output(tree):
    """Only the output module writes to standard output: what cannot be written is an error there, in every command."""
    for name in tree.files("src", "apps"):
        if is_test(name) or name in STDOUT_OWNERS:
            continue
        code = bare(tree.text(name))
        for found in STDOUT.finditer(code):
            yield f"{name}:{line_of(code, found.start())}: {found.group(0).strip()} is for app::print (output.hpp)"


def columns(tree):
    for name in tree.files(*TREES.split("|"), ".ci", ".", suffixes=COLUMN_SUFFIXES):
        if "/corpus/" in name or name.startswith("docs/"):
            continue
        for line, text in enumerate(tree.text(name).split("\n"), 1):
            if len(text) > COLUMNS:
                yield f"{name}:{line}: {len(text)} columns; the limit is {COLUMNS}"


def code_format(tree):
    """What clang-format would write otherwise. It is a dependency (scripts/setup): without it nothing is skipped."""
    sources = list(tree.files("src", "apps", "tests", "bench"))
    program = shutil.which(CLANG_FORMAT)
    if not program:
        yield f"scripts/setup:1: {CLANG_FORMAT} is missing; scripts/setup installs it"
        return
    style = "--style=file:" + str(pathlib.Path(__file__).resolve().parents[2] / ".clang-format")
    run = [program, "--dry-run", style]
    parts = [sources[at : at + 50] for at in range(0, len(sources), 50)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda part: subprocess.run(run + part, cwd=tree.root, capture_output=True), parts))
    seen = set()
    for found in re.finditer(r"^(\S+?):(\d+):\d+: ", "".join(one.stderr.decode() for one in said), re.M):
        name, line = found.groups()
        if name not in seen:
            seen.add(name)
            yield f"{name}:{line}: not as {CLANG_FORMAT} -i writes it"
    if any(one.returncode != 0 for one in said):
        yield f".clang-format:1: {CLANG_FORMAT} fails: " + " ".join(one.stderr.decode()[:200] for one in said)


CHECKS = {
    "layers": layers,
    "sans-io": sans_io,
    "sizes": sizes,
    "parsers-have-fuzzers": parsers_have_fuzzers,
    "docs-paths": docs_paths,
    "headers": headers,
    "words": words,
    "output": output,
    "columns": columns,
    "format": code_format,
}

# --- self-test: files that must be found, and how often; then files that must not be --------------

LONG = "void f() {\n" + "  g();\n" * 61 + "}\n"
BAD = [
    ("layers", {"src/base/a.cpp": '#include "swarm/engine.hpp"\n'}, 1),
    ("layers", {"src/rtp/a.cpp": '#include "content/bitmap.hpp"\n#include "sdp/parse.hpp"\n'}, 2),
    (
        "layers",
        {
            "src/io/a.cpp": '#include "sip/agent/agent.hpp"\n#include "store/database.hpp"\n'
            '#include "roles/common/trust.hpp"\n'
        },
        3,
    ),
    ("layers", {"src/roles/ue/a.cpp": '#include "roles/cache/b.hpp"\n#include "roles/common/c.hpp"\n'}, 1),
    (
        "layers",
        {
            "src/roles/common/a.cpp": '#include "io/loop.hpp"\n#include "roles/common/media_node.hpp"\n',
            "src/roles/common/media_node.hpp": '#include "io/loop.hpp"\n',
            "src/roles/ue/b.cpp": '#include "os/clock.hpp"\n#include "io/loop.hpp"\n',
        },
        3,
    ),
    ("layers", {"src/sip/a.cpp": '#include "sip/core/b.hpp"', "src/roles/common/d.hpp": '#include "roles/ue/e"'}, 2),
    ("layers", {"src/swarm/a_test.cpp": '#include "io/loop.hpp"\n'}, 1),
    (
        "layers",
        {
            "src/keys/a.cpp": "#include <openssl/evp.h>\n",
            "src/io/b.cpp": "#include <sofia-sip/su.h>\n#include <boost/beast.hpp>\n",
        },
        3,
    ),
    ("layers", {"src/sip/other.cpp": "#include <openssl/ssl.h>\n", "src/roles/a.cpp": "#include <sqlite3.h>\n"}, 2),
    ("layers", {"src/base/a.hpp": "#include <nlohmann/json.hpp>\n#include <tl/expected.hpp>\n"}, 2),
    ("layers", {"src/rtp/srtp.cpp": "#include <srtp2/srtp.h>\n#include <gtest/gtest.h>\n"}, 2),
    ("layers", {"src/news/a.cpp": "", "src/io/c.cpp": '#include "local.hpp"\n#include "crypto/detail/x.hpp"\n'}, 3),
    (
        "sans-io",
        {
            "src/swarm/a.cpp": "#include <thread>\n#include <sys/socket.h>\n#include <fstream>\n"
            "#include <filesystem>\n#include <mutex>\n"
        },
        5,
    ),
    ("sans-io", {"src/content/a.cpp": "auto t = std::chrono::steady_clock::now();\nauto u = time(nullptr);\n"}, 2),
    ("sans-io", {"src/keys/a.cpp": 'std::random_device d;\nauto e = std::getenv("X");\nint r = rand();\n'}, 3),
    (
        "sans-io",
        {"src/base/a.cpp": "std::this_thread::sleep_for(1s);\nstd::cerr << 1;\nauto s = ::socket(1, 2, 3);\n"},
        3,
    ),
    (
        "output",
        {
            "src/roles/a.cpp": "std::cout << 1;\nprintf(x);\n",
            "apps/sealcast/b.cpp": "std::puts(x);\nfwrite(x, 1, 1, stdout);\n",
        },
        4,
    ),
    ("sizes", {"src/io/a.hpp": "//\n" * 401, "src/io/a.cpp": "//\n" * 701, "src/io/a_test.cpp": "//\n" * 801}, 3),
    (
        "sizes",
        {
            "src/io/a.cpp": LONG,
            "src/io/b.cpp": "namespace x {\nA::A(int b) : c_{b}, d_(b) {\n" + "  g();\n" * 61 + "}\n}\n",
        },
        2,
    ),
    (
        "sizes",
        {
            "src/io/a.cpp": "template <class T>\nvoid f(T t) {\n"
            + "  case 1: case 2: case 3: case 4: case 5:\n" * 101
            + "}\n"
        },
        1,
    ),
    ("sizes", {"src/io/a.hpp": "struct S {\n  int f() const {\n" + "    if (a) { b({1}); }\n" * 61 + "  }\n};\n"}, 1),
    ("sizes", {"tests/lint/size_allow.txt": "src/io/a.cpp\n", "src/io/a.cpp": ""}, 1),
    (
        "parsers-have-fuzzers",
        {
            "src/sdp/a.hpp": "Result<X> parse(std::string_view text);\nstd::optional<Y> parse_y(std::string_view t);\n",
            "tests/fuzz/a.cpp": "json::parse(x); // parse_y(x)\n",
        },
        2,
    ),
    (
        "parsers-have-fuzzers",
        {"tests/fuzz/a.cpp": "int LLVMFuzzerTestOneInput(int);\n", "tests/fuzz/CMakeLists.txt": "set(harnesses b)\n"},
        1,
    ),
    (
        "docs-paths",
        {"docs/architecture.md": "see src/none.cpp, src/io/*.hpp and `io::Nothing::here`\n", "src/io/a.cpp": ""},
        3,
    ),
    (
        "headers",
        {"src/io/a.hpp": "// first\n#pragma once\n", "src/io/b.cpp": "int a;\t\n", "src/io/c.cpp": "int a;"},
        3,
    ),
    ("headers", {"src/io/d.hpp": "#pragma once\n", "src/io/d.cpp": '#include <vector>\n#include "io/d.hpp"\n'}, 1),
    ("words", {"src/io/a.hpp": "struct TorrentFile; int bitfield_size; void read_manifest();\n"}, 3),
    ("words", {"docs/a.md": "see /wo" + "rk/main\n"}, 1),
    ("columns", {"src/io/a.cpp": "// " + "x" * 118 + "\n", "scripts/run": "#\n" + "é" * 121 + "\n"}, 2),
    ("columns", {"CMakeLists.txt": "#" * 121, ".ci/run": "#" * 121, "tests/a_test.py": "#" * 121 + "\n"}, 3),
    ("format", {"src/io/a.cpp": "int  a;\nint  b;\n", "tests/support/b.hpp": "#pragma once\nint* f( int a);\n"}, 2),
]
GOOD = {
    "src/base/a.hpp": "#pragma once\n// steady_clock::now is not used\n"
    "constexpr auto k = \"time(nullptr)\"; int runtime(int); auto n = 1'000;\n",
    "src/base/result.hpp": "#pragma once\n#include <tl/expected.hpp>\n",
    "src/crypto/a.cpp": "#include <openssl/evp.h>\n#include <vector>\n#include \"base/a.hpp\"\n",
    "src/sdp/a.hpp": "#pragma once\n#include \"rtp/suite.hpp\"\nExpected<int, E> parse(std::string_view text);\n",
    "src/sip/agent/agent.cpp": "#include <sofia-sip/msg.h>\n#include \"keys/request.hpp\"\n",
    "src/io/http_server.cpp": "#include <boost/beast.hpp>\n#include \"swarm/engine.hpp\"\n",
    "src/swarm/a_test.cpp": "#include <gtest/gtest.h>\n#include <thread>\n#include \"tests/support/x.hpp\"\n",
    "apps/sealcast/a.cpp": "#include \"local.hpp\"\n#include <CLI/CLI.hpp>\nint x[] = {\n" + "  1,\n" * 80 + "};\n",
    "src/io/b.cpp": "enum class E {\n"
    + "  a,\n" * 70
    + "};\n"
    + "void f() {\n"
    + "  g();\n" * 58
    + "}\n" * 1
    + "void h(int x) {\n  switch (x) {\n"
    + "    case 1: case 2: case 3: case 4: case 5: g();\n" * 90
    + "  }\n}\n",
    "tests/fuzz/a.cpp": "int LLVMFuzzerTestOneInput(int) { return sdp::parse(x); }\n",
    "tests/fuzz/CMakeLists.txt": "set(harnesses a)\n",
    "docs/architecture.md": "src/sdp/a.* and src/io and `base::k`; lab/src/none\n",
    "scripts/run": "é" * 120 + "\n",
    "docs/long.md": "a" * 200 + "\n",
}
WELL_FORMATTED = {"src/io/a.cpp": "int a;\nvoid f(int* b) {\n  g(b);\n}\n"}


def grow(folder, files):
    for name, text in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Tree(folder)


def self_test():
    failures = 0
    for number, (check, files, wanted) in enumerate(BAD):
        with tempfile.TemporaryDirectory() as folder:
            found = list(CHECKS[check](grow(folder, files)))
        if len(found) != wanted:
            failures += 1
            print(f"self-test {number} ({check}): {len(found)} findings instead of {wanted}", *found, sep="\n  ")
    with tempfile.TemporaryDirectory() as folder:
        tree = grow(folder, GOOD)
        formatted = grow(pathlib.Path(folder) / "formatted", WELL_FORMATTED)
        for check in CHECKS:
            found = list(CHECKS[check](formatted if check == "format" else tree))
            if found:
                failures += 1
                print(f"self-test: {check} finds what is no fault", *found, sep="\n  ")
    untried = set(CHECKS) - {check for check, _, _ in BAD}
    if untried:
        failures += 1
        print("self-test: nothing bad is shown to", *sorted(untried))
    print(f"self-test: {len(BAD)} bad trees, {failures} failures")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    unknown = [check for check in options.checks if check not in CHECKS]
    if unknown:
        parser.error("no such check: " + ", ".join(unknown))
    tree = Tree(options.root)
    findings = [finding for check in options.checks or CHECKS for finding in CHECKS[check](tree)]
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
