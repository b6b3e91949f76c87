#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run every test and end with the line `N passed, N failed`.

The list of tests is meson's own (each test() of the meson.build files, with its suite, time-out
and environment). A test that prints TAP lines (cmocka does when asked) counts one for each line;
any other counts one by its exit code. Tests marked is_parallel run two at a time, slowest of the last
run first (before there was one, by what their suites take), the others alone after them. A failing
test's output is shown. The message parsers are fuzzed for a while in a build of their own, two at a
time as well.

--long (or --suite soak, which is all suites of it) sets SPW_LONG=1 and SPILLWAY_LAB_LONG=1, by which
tests run their long forms, runs the lab and the packet cases in parts, each of which is a suite of its own
(PARTS) so that none takes an hour, gives them the time, and fuzzes each target for LONG_FUZZ_S
(FUZZ_SECONDS in the environment sets another time). Each run leaves its results in the build folder:
tests.json or soak/<date>.json.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TAP = re.compile(r"^\s*(ok|not ok)\b(.*)$", re.M)
LONG_TIMEOUT, LONG_FUZZ_S = 6 * 3600, 600
GUESS_S = {"packets": 20, "daemon": 15, "explore": 14, "control": 5}
LONG = {"SPW_LONG": "1", "SPILLWAY_LAB_LONG": "1"}
# Tests whose long forms are several suites, by words: of scenarios' names, of families of cases. What
# has none of the words is of the test's own suite.
LAB_PARTS = {
    "matrix": ("interop_matrix",),
    "kills": ("test_kill",),
    "rekey": ("rekeys_every_2_s", "rekeys_of_both_sides", "lost_ike_packets"),
    "flaps": ("flaps", "flapping", "storm_of_4000"),
    "stalls": ("stalls_of",),
    "floods": ("test_floods",),
    "clocks": ("test_clocks",),
    "routes": ("a_million_routes",),
}
PARTS = {
    "lab": LAB_PARTS,
    "dataplane/cases": {"esp-flood": ("flood",), "fragments": ("fragments",)},
}
PART_SUITES = {name for parts in PARTS.values() for name in parts}


class Tally:
    """Counts of the run and the names of what failed."""

    def __init__(self):
        self.passed, self.failed, self.names, self.rows = 0, 0, [], []
        self.begun = time.monotonic()

    def add(self, name, passed, failed, seconds, output):
        self.passed += passed
        self.failed += failed
        self.rows.append({"name": name, "passed": passed, "failed": failed, "seconds": round(seconds, 2),
                          "output": output})
        state = "ok  " if not failed else "FAIL"
        print(f"{state} {name:<44} {passed:4d} passed {failed:3d} failed  {seconds:6.1f} s", flush=True)
        if failed:
            self.names.append(name)
            lines = output.splitlines()
            told = [i for i, line in enumerate(lines) if line.startswith("not ok")]
            shown = sorted({i for n in told for i in range(n, min(n + 12, len(lines)))} |
                           set(range(max(0, len(lines) - 40), len(lines))))
            print("\n".join("     | " + lines[i] for i in shown), flush=True)

    def write(self, path):
        """Results as JSON, with what each test said."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"when": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
                       "passed": self.passed, "failed": self.failed,
                       "seconds": round(time.monotonic() - self.begun, 1), "tests": self.rows}, out, indent=1)


def last_seconds(path):
    """How long each test took in the run before; nothing when there is none."""
    try:
        with open(path, encoding="utf-8") as text:
            return {row["name"]: row["seconds"] for row in json.load(text)["tests"]}
    except (OSError, ValueError, KeyError):
        return {}


def slowest_first(tests, seconds):
    """Two at a time end together when the short ones come last."""
    def takes(test):
        return seconds.get(test["name"], max(GUESS_S.get(s, 0) for s in suites_of(test)))
    return sorted(tests, key=takes, reverse=True)


def lengthened(test):
    """The long form of a test: its environment, its time, and for a fuzz target its last argument."""
    cmd = list(test["cmd"])
    if any(s.endswith("fuzz") for s in test["suite"]):
        cmd[-1] = os.environ.get("FUZZ_SECONDS", str(LONG_FUZZ_S))
    return {**test, "cmd": cmd, "env": {**test["env"], **LONG}, "timeout": LONG_TIMEOUT}


def in_parts(tests, suites):
    """The tests of the wanted suites, no suites: all, those of PARTS as one for each suite."""
    for test in tests:
        parts = PARTS.get(test["name"], {})
        for name, words in parts.items():
            if not suites or name in suites:
                yield {**test, "name": f"{test['name']}/{name}", "cmd": [*test["cmd"], *words]}
        if not suites or suites & suites_of(test):
            without = [w for words in parts.values() for w in words]
            yield {**test, "cmd": test["cmd"] + [x for w in without for x in ("--without", w)]}


def run_one(test, build):
    """Run one meson test; returns (passed, failed, seconds, output)."""
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "SPILLWAY_BUILD": build, **test["env"]}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    start = time.monotonic()
    try:
        done = subprocess.run(test["cmd"], cwd=test["workdir"] or build, env=env, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=test["timeout"] or None)
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        out = late.stdout or b""
        code, output = -1, (out.decode(errors="replace") if isinstance(out, bytes) else out)
        output += f"\ntimed out after {test['timeout']} s"
    lines = TAP.findall(output)
    passed = sum(1 for word, _ in lines if word == "ok")
    failed = len(lines) - passed
    if not lines:
        passed, failed = (1, 0) if code == 0 else (0, 1)
    elif code != 0 and failed == 0:
        failed = 1
    return passed, failed, time.monotonic() - start, output


def suites_of(test):
    return {s.split(":")[-1] for s in test["suite"]}


def suites_of(test):
    return {s.split(":")[-1] for s in test["suite"]}


def meson_tests(build, suites):
    out = subprocess.run(["meson", "introspect", "--tests", build], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return [t for t in json.loads(out) if not suites or suites_of(t) & suites]


def run_together(tests, build, tally):
    """Two at a time; reported in the order in which they were begun."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for test, result in zip(tests, pool.map(lambda t: run_one(t, build), tests)):
            tally.add(test["name"], *result)


def fuzz(tally, form, chosen):
    """The libFuzzer targets: a build of their own under clang, each run on its corpus for a while."""
    build = os.path.join(ROOT, "build-fuzz")
    env = dict(os.environ, CC="clang")

    def step(*argv):
        done = subprocess.run(argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            tally.add("fuzz: " + argv[0], 0, 1, 0, done.stdout)
        return done.stdout if done.returncode == 0 else None

    if not os.path.exists(os.path.join(build, "build.ninja")) and step(
            "meson", "setup", build, ROOT, "-Dfuzz=true", "-Ddataplane=false") is None:
        return
    known = step("ninja", "-C", build, "-t", "targets", "all")
    wanted = known and [w for w in (line.split(":")[0] for line in known.splitlines())
                        if re.fullmatch(r"tests/\w+(/fuzz)?/(fuzz_\w+|ike_corpus_make)", w)]
    if not wanted or step("ninja", "-C", build, *wanted) is None:
        return
    run_together([form(t) for t in meson_tests(build, {"fuzz"}) if chosen(t["name"])], build, tally)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitized", action="store_true", help="leave out what a sanitizer cannot run with")
    parser.add_argument("--suite", action="append",
                        help="only this suite (unit, explore, daemon, control, packets, lab, house, fuzz; "
                             "soak: all, long; with --long fuzz is IKE's, fuzz-others the rest, and there are "
                             + ", ".join(sorted(PART_SUITES)) + ")")
    parser.add_argument("--long", action="store_true", help="the long forms, hours rather than minutes")
    args = parser.parse_args()
    os.chdir(ROOT)
    build = os.path.abspath(args.build)
    suites = set(args.suite or [])
    long_form = args.long or "soak" in suites
    suites.discard("soak")
    form = lengthened if long_form else lambda test: test
    tally = Tally()
    results = os.path.join(build, "tests.json")
    seconds = last_seconds(results)
    tests = list(in_parts(meson_tests(build, set()), suites)) if long_form else meson_tests(build, suites)
    tests = [form(t) for t in tests]
    if args.sanitized:
        tests = [t for t in tests if not any(s.endswith("lab") for s in t["suite"])]
    run_together(slowest_first([t for t in tests if t["is_parallel"]], seconds), build, tally)
    for test in tests:
        if not test["is_parallel"]:
            tally.add(test["name"], *run_one(test, build))
    which = {"fuzz": lambda name: not long_form or name.startswith("ike/"),
             "fuzz-others": lambda name: not name.startswith("ike/")}
    fuzzed = [which[s] for s in which if s in suites or not suites and (s == "fuzz" or long_form)]
    if not args.sanitized and fuzzed and shutil.which("clang"):
        fuzz(tally, form, lambda name: any(chosen(name) for chosen in fuzzed))
    if long_form:
        results = os.path.join(build, "soak", time.strftime("%Y-%m-%d-%H%M%S.json"))
        print(results)
    if long_form or not suites:
        tally.write(results)
    if tally.names:
        print("failed: " + ", ".join(tally.names))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
