#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/conformance.md from the tests: each statement on IKE, fragments, NAT, floods, extensions,
algorithms and lifetimes, with the tests that show it.

Without arguments: is the page fresh, does every named test exist, has every statement a test or a
reason? `--write` makes the page anew. `--run BUILD` runs the tests concerned and prints one line a
statement, totals and the figure of `make conformance`.

A test names a statement by ike_038_, frag_02_, nat_.., dos_.., ext_.., alg_.. or lif_.. at the start
of the name of its function. ELSEWHERE lists tests that show one under another name. OPEN tells why a
statement has no test, or what of it is not there; what OPEN names does not count as done."""
import collections
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import conform  # noqa: E402
from statements import ELSEWHERE, NOTES, OPEN, STATEMENTS  # noqa: E402

PAGE = os.path.join(conform.ROOT, 'docs', 'conformance.md')
FUNCTION = re.compile(
    r'^(?:    def test_)?(((?:ike|frag|nat|dos|ext|alg|lif)_\d{2,3})_\w+)\((?:void|self)', re.M)
FOLDERS = ('ike', 'control', 'dataplane')
LAB = 'lab'


def by_functions():
    """Statement to {(file, test)} whose function names it."""
    found = collections.defaultdict(set)
    for folder in FOLDERS:
        for name in sorted(os.listdir(os.path.join(conform.TESTS, folder))):
            if name.endswith(('.c', '.py')):
                for test, word in FUNCTION.findall(conform.source(f'{folder}/{name}')):
                    found[word.upper().replace('_', '-')].add((f'{folder}/{name}', test))
    return found


def shown():
    """Statement to the sorted list of (file, test) that show it."""
    found = by_functions()
    for statement, path, test in ELSEWHERE:
        found[statement].add((path, test))
    return {name: sorted(tests) for name, tests in found.items()}


def cell(tests):
    files = collections.defaultdict(list)
    for path, test in tests:
        files[path].append(test)
    return '; '.join(f'{path}: {", ".join(names)}' for path, names in sorted(files.items()))


def page():
    rows, tests = conform.statements(STATEMENTS), shown()
    done = [name for name in rows if tests.get(name) and name not in OPEN]
    first = [name for name in rows if rows[name][0]]
    lines = ['<!-- SPDX-License-Identifier: BSD-3-Clause -->', '# IKE: statements and their tests', '',
             'Made by `tests/ike/conformance.py --write` from the names of the tests; a test keeps it '
             'fresh. `make conformance`', 'runs the tests and prints a line for each statement. '
             'P1 = must hold before a release. ESP has a page of its own,',
             '[conformance-esp.md](conformance-esp.md).', '',
             f'{len(done)} of {len(rows)} are shown by tests; of P1 '
             f'{len([n for n in first if n in done])} of {len(first)}.', '',
             '| | | statement | tests (under tests/) |', '|---|---|---|---|']
    for name, (p1, text) in rows.items():
        told = [cell(tests.get(name, [])),
                f'**open**: {OPEN[name]}' if name in OPEN else '', NOTES.get(name, '')]
        lines.append(f'| {name} | {"P1" if p1 else ""} | {text} | '
                     f'{". ".join(t for t in told if t)} |')
    return '\n'.join(lines) + '\n'


def wrong():
    """Sentences about what does not fit together."""
    rows, tests = conform.statements(STATEMENTS), shown()
    told = conform.missing(ELSEWHERE)
    told += [f'{name}: neither a test nor a reason' for name in rows
             if name not in OPEN and not tests.get(name)]
    told += [f'{name}: no such statement' for name in (*OPEN, *NOTES, *tests) if name not in rows]
    return told


def check():
    told = wrong()
    with open(PAGE) as f:
        if f.read() != page():
            told.append('docs/conformance.md is stale: run tests/ike/conformance.py --write')
    print(f'{"not ok" if told else "ok"} - every statement on IKE has a test or a reason; the page '
          'is fresh')
    print('\n'.join(f'# {line}' for line in told))
    return 1 if told else 0


# ---- running ----

def meson_name(path):
    """The test of meson that runs a file: ike/conf_init_test.c is in ike/conf_init."""
    folder, name = path.split('/', 1)
    if folder == LAB:
        return LAB
    if name.startswith('cases/'):
        return 'dataplane/cases'
    stem = re.sub(r'^test_|_test$', '', os.path.splitext(name)[0])
    return f'{folder}/{stem}'


def run(test, build):
    """What a test of meson says: function or case to passed."""
    env = {**os.environ, **test['env'], 'CMOCKA_MESSAGE_OUTPUT': 'TAP'}
    cwd = test.get('workdir') or build
    out = subprocess.run(test['cmd'], env=env, cwd=cwd, text=True, errors='replace',
                         capture_output=True, timeout=1800, check=False)
    said = {}
    for line in out.stdout.splitlines():
        tap = re.match(r'(not ok|ok)\b[ \d]*-? *(.*)$', line)
        if tap:
            said[re.sub(r'^(?:\w+\.)?test_', '', tap.group(2).strip())] = tap.group(1) == 'ok'
    for name, result in re.findall(r'^(test_\w+) .*\.\.\. (ok|FAIL|ERROR)$', out.stderr, re.M):
        said[name[5:]] = result == 'ok'
    return said


def results(build):
    """Meson's test name to what it said; the lab's verdict is that of the last `make check`."""
    tests = json.loads(subprocess.run(['meson', 'introspect', '--tests', build], check=True,
                                      capture_output=True, text=True).stdout)
    wanted = {meson_name(path) for found in shown().values() for path, _ in found}
    said = {t['name']: run(t, build) for t in tests if t['name'] in wanted - {LAB}}
    try:
        with open(os.path.join(build, 'tests.json'), encoding='utf-8') as f:
            said[LAB] = {row['name']: not row['failed'] for row in json.load(f)['tests']}.get(LAB)
    except (OSError, ValueError):
        said[LAB] = None
    return said


def passed(path, test, said):
    """True, False, or None when it did not run."""
    told = said.get(meson_name(path))
    if path.startswith(LAB + '/'):
        return told
    if ' ' in test:
        cases = [good for name, good in (told or {}).items() if name.startswith(test)]
        return all(cases) if cases else None
    return (told or {}).get(re.sub(r'^test_', '', test))


def verdict(name, tests, said):
    if name in OPEN:
        return 'not done'
    got = [passed(path, test, said) for path, test in tests]
    if False in got:
        return 'fail'
    return 'not run' if None in got else 'pass'


def report(build):
    rows, tests, said = conform.statements(STATEMENTS), shown(), results(os.path.abspath(build))
    count, open_first = collections.Counter(), 0
    for name, (p1, _) in rows.items():
        result = verdict(name, tests.get(name, []), said)
        count[result] += 1
        open_first += p1 and result != 'pass'
        print(f'{name:<9} {"P1" if p1 else "  "} {result:<8} '
              f'{OPEN.get(name) or cell(tests.get(name, []))}')
    print(', '.join(f'{count[r]} {r}' for r in ('pass', 'fail', 'not run', 'not done')) +
          f', {len(rows)} in all')
    print(f'FIGURE conformance-p1-open {open_first}')
    return 1 if count['fail'] else 0


def main():
    if sys.argv[1:2] == ['--run']:
        return report(sys.argv[2])
    if '--write' in sys.argv:
        with open(PAGE, 'w') as f:
            f.write(page())
    return check()


if __name__ == '__main__':
    sys.exit(main())
