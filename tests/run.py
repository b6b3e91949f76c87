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
FUZZ_SECONDS = 30


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
            print("\n".join("     | " + line for line in output.splitlines()[-60:]), flush=True)


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
    """Build the libFuzzer targets under clang and run each on its corpus for a share of the time."""
    build = os.path.join(ROOT, "build-fuzz")
    env = dict(os.environ, CC="clang")
    if not os.path.exists(os.path.join(build, "build.ninja")):
        done = subprocess.run(["meson", "setup", build, ROOT, "-Dfuzz=true", "-Ddataplane=false",
                               "-Db_sanitize=address,undefined", "-Db_lundef=false"],
                              env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            tally.add("fuzz: meson setup", 0, 1, 0, done.stdout)
            return
    targets = json.loads(subprocess.run(["meson", "introspect", "--targets", build], check=True, text=True,
                                        stdout=subprocess.PIPE).stdout)
    fuzzers = [t["filename"][0] for t in targets if t["name"].startswith("fuzz_")]
    done = subprocess.run(["ninja", "-C", build] + [os.path.relpath(f, build) for f in fuzzers], env=env,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not fuzzers:
        tally.add("fuzz: build", 0, 1, 0, done.stdout or "no fuzz target found")
        return
    for path in fuzzers:
        fuzz_one(tally, path, build)


def fuzz_one(tally, path, build):
    name = os.path.basename(path)
    corpus = os.path.join(ROOT, os.path.relpath(os.path.dirname(path), build), "corpus", name[len("fuzz_"):])
    work = os.path.join(build, "corpus-" + name)
    os.makedirs(work, exist_ok=True)
    start = time.monotonic()
    cmd = [path, f"-max_total_time={FUZZ_SECONDS}", "-max_len=16384", "-timeout=10", "-rss_limit_mb=2048",
           f"-artifact_prefix={work}/crash-", work] + ([corpus] if os.path.isdir(corpus) else [])
    done = subprocess.run(cmd, text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=FUZZ_SECONDS * 4)
    bad = int(done.returncode != 0)
    tally.add(name, 1 - bad, bad, time.monotonic() - start, done.stdout)


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
