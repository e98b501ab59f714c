#!/usr/bin/env python3
"""Applies the mutants of tests/mutants/*.py to copies of the tree and runs the tests that should notice.

A mutant is (what it allows, file, old text, new text, tests): old text must stand in the file exactly once, tests are
names of test programs, each with an optional gtest filter behind a colon. A mutant whose old text is gone, that does
not compile, or whose tests fail without it, is an error: it shows nothing.
"""
import argparse
import concurrent.futures
import importlib.util
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
PATIENCE = 300  # seconds for one test program: a mutant may make it wait for what never comes
# What a deleted check leaves unused is no error of the mutant.
FORGIVING = "".join(
    f'#pragma GCC diagnostic ignored "-W{name}"\n'
    for name in ("unused-parameter", "unused-variable", "unused-function", "unused-but-set-variable", "parentheses")
)


class Mutant:
    def __init__(self, module, number, what, file, old, new, tests):
        self.name = f"{module}/{number:02}"
        self.what, self.file, self.old, self.new = what, file, old, new
        self.tests = [test.partition(":")[::2] for test in tests.split()]

    def trouble(self):
        path = ROOT / self.file
        found = path.read_text(encoding="utf-8").count(self.old) if path.exists() else 0
        return "" if found == 1 else f"its old text stands {found} times in {self.file}"


def read_mutants():
    out = []
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.name == "mutate.py":
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        out += [Mutant(path.stem, number, *each) for number, each in enumerate(module.MUTANTS, 1)]
    return out


class Tree:
    """A copy of the sources with a build directory of its own; what has not changed keeps its time."""

    def __init__(self, number):
        self.root = WORK / str(number)
        self.build = self.root / "build" / "dev"
        self.program = {}
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
        ).stdout.decode()
        wanted = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
        for old in self.root.rglob("*") if self.root.exists() else ():
            name = old.relative_to(self.root).as_posix()
            if old.is_file() and not name.startswith("build/") and name not in wanted:
                old.unlink()
        for name in wanted:
            source, target = ROOT / name, self.root / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        self.call(["cmake", "--preset", "dev"], "configuring")

    def call(self, command, what):
        done = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"{what}: " + done.stdout.decode(errors="replace")[-2000:])

    def make(self, targets):
        self.call(["cmake", "--build", "--preset", "dev", "--target", *targets], "building")

    def find(self, name):
        if name not in self.program:
            self.program[name] = next(p for p in self.build.rglob(name) if p.is_file() and os.access(p, os.X_OK))
        return self.program[name]

    def fails(self, tests):
        """The first of the tests that fails, and how."""
        for name, chosen in tests:
            command = [self.find(name), "--gtest_fail_fast", "--gtest_brief=1"]
            if chosen:
                command.append("--gtest_filter=" + chosen)
            try:
                done = subprocess.run(command, cwd=self.root, capture_output=True, timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                return f"{name} does not end"
            text = done.stdout.decode(errors="replace")
            if chosen and re.search(r"^\[==========\] 0 tests", text, re.M):
                raise RuntimeError(f"{name} has no test {chosen}")
            if done.returncode != 0:
                failed = re.search(r"^\[  FAILED  \] (\S+)", text, re.M)
                return failed.group(1).rstrip(",") if failed else f"{name} ends with {done.returncode}"
        return None

    def sound(self, mutants):
        """Builds all that these mutants need, and sees that it passes as it is."""
        tests = {test for mutant in mutants for test in mutant.tests}
        self.make(sorted({name for name, _ in tests}))
        if failed := self.fails(sorted(tests)):
            raise RuntimeError(f"without any mutant {failed} fails")

    def try_mutant(self, mutant):
        """(verdict, by whom or why)"""
        if trouble := mutant.trouble():
            return "error", trouble
        path = self.root / mutant.file
        text = path.read_text(encoding="utf-8")
        path.write_text(FORGIVING + text.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            self.make([name for name, _ in mutant.tests])
            failed = self.fails(mutant.tests)
            return ("killed", failed) if failed else ("survived", "")
        except RuntimeError as error:
            return "error", str(error)
        finally:
            path.write_text(text, encoding="utf-8")


def chosen_of(mutants, options):
    if options.words:
        mutants = [m for m in mutants if any(word in f"{m.name} {m.file} {m.what}" for word in options.words)]
    if options.sample:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    return mutants


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="names the mutants and sees that their texts are there")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, chosen by the seed")
    parser.add_argument("--seed", default="0", help="the same seed chooses the same ones")
    parser.add_argument("-j", type=int, default=os.cpu_count(), metavar="N", help="trees side by side")
    options = parser.parse_args()
    mutants = chosen_of(read_mutants(), options)
    if not mutants:
        parser.error("there is no such mutant")
    lost = [mutant for mutant in read_mutants() if mutant.trouble()]
    for mutant in mutants if options.list else lost:
        print(f"{mutant.name} {mutant.what}" + (f": ERROR: {mutant.trouble()}" if mutant.trouble() else ""))
    if options.list:
        print(f"mutate: {len(mutants)} mutants, {len(lost)} errors")
        return 1 if lost else 0
    trees = queue.Queue()
    for number in range(min(options.j, len(mutants))):
        tree = Tree(number)
        tree.sound(mutants) if number == 0 else tree.make(sorted({t for m in mutants for t, _ in m.tests}))
        trees.put(tree)

    def one(mutant):
        tree, begun = trees.get(), time.monotonic()
        try:
            verdict, why = tree.try_mutant(mutant)
        finally:
            trees.put(tree)
        print(f"{mutant.name} {mutant.what}: {verdict} {why} ({time.monotonic() - begun:.0f} s)", flush=True)
        return verdict

    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        verdicts = list(pool.map(one, mutants))
    bad = [m.name for m, verdict in zip(mutants, verdicts) if verdict != "killed"]
    counts = {word: verdicts.count(word) for word in ("killed", "survived", "error")}
    print(f"mutate: {counts['killed']} killed, {counts['survived']} survived, {counts['error']} errors", *bad)
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"mutate: {error}")
