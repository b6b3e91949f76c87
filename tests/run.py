#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run every test and end with the line `N passed, N failed`.

The list of tests is meson's own (each test() of the meson.build files, with its suite, time-out
and environment). A test that prints TAP lines (cmocka does when asked) counts one for each line;
any other counts one by its exit code. Tests marked is_parallel run two at a time, the others alone.
A failing test's output is shown. The message parsers are fuzzed for a while in a build of their own.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TAP = re.compile(r"^\s*(ok|not ok)\b(.*)$", re.M)


class Tally:
    """Counts of the run and the names of what failed."""

    def __init__(self):
        self.passed, self.failed, self.names = 0, 0, []

    def add(self, name, passed, failed, seconds, output):
        self.passed += passed
        self.failed += failed
        state = "ok  " if not failed else "FAIL"
        print(f"{state} {name:<44} {passed:4d} passed {failed:3d} failed  {seconds:6.1f} s", flush=True)
        if failed:
            self.names.append(name)
            lines = output.splitlines()
            told = [i for i, line in enumerate(lines) if line.startswith("not ok")]
            shown = sorted({i for n in told for i in range(n, min(n + 12, len(lines)))} |
                           set(range(max(0, len(lines) - 40), len(lines))))
            print("\n".join("     | " + lines[i] for i in shown), flush=True)


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


def meson_tests(build, suites):
    out = subprocess.run(["meson", "introspect", "--tests", build], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    tests = json.loads(out)
    short = lambda test: {s.split(":")[-1] for s in test["suite"]}
    return [t for t in tests if not suites or short(t) & suites]


def fuzz(tally):
    """The libFuzzer targets: a build of their own under clang, each run on its corpus for a while."""
    build = os.path.join(ROOT, "build-fuzz")
    env = dict(os.environ, CC="clang")
    steps = [["ninja", "-C", build]]
    if not os.path.exists(os.path.join(build, "build.ninja")):
        steps.insert(0, ["meson", "setup", build, ROOT, "-Dfuzz=true", "-Ddataplane=false"])
    for step in steps:
        done = subprocess.run(step, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            tally.add("fuzz: " + step[0], 0, 1, 0, done.stdout)
            return
    for test in meson_tests(build, {"fuzz"}):
        tally.add(test["name"], *run_one(test, build))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitized", action="store_true", help="leave out what a sanitizer cannot run with")
    parser.add_argument("--suite", action="append", help="only this suite (unit, packet, lab, house, fuzz)")
    args = parser.parse_args()
    os.chdir(ROOT)
    build = os.path.abspath(args.build)
    suites = set(args.suite or [])
    tally = Tally()
    tests = meson_tests(build, suites)
    if args.sanitized:
        tests = [t for t in tests if not any(s.endswith("lab") for s in t["suite"])]
    together = [t for t in tests if t["is_parallel"]]
    alone = [t for t in tests if not t["is_parallel"]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for test, result in zip(together, pool.map(lambda t: run_one(t, build), together)):
            tally.add(test["name"], *result)
    for test in alone:
        tally.add(test["name"], *run_one(test, build))
    if not args.sanitized and (not suites or "fuzz" in suites) and shutil.which("clang"):
        fuzz(tally)
    if tally.names:
        print("failed: " + ", ".join(tally.names))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
