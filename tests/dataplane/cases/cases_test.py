#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The packet cases: cases_test.py [FAMILY...] [--without FAMILY]... Each family of tables runs over a data plane of its
own; each case prints one TAP line. A case marked as an expected failure fails when it starts to pass.
SPW_LONG=1 makes the floods, captures and rekeys long. Run as root."""
import argparse
import importlib
import sys
import time
import traceback

import casebed
import dpclient as dp

FAMILIES = ('wire', 'matrix', 'window', 'policy', 'header', 'size', 'layer2', 'limit', 'flood',
            'fragments', 'restart')


def say(good, name, why=''):
    print(f'{"ok" if good else "not ok"} - {name}', flush=True)
    if why:
        print('\n'.join('# ' + line for line in why.splitlines()), flush=True)
    return good


def run_case(gw, case):
    why = ''
    try:
        case.run(gw)
    except (casebed.Wrong, AssertionError, dp.Refused) as e:
        why = f'{type(e).__name__}: {e}'
    except Exception:
        why = traceback.format_exc()
    if not case.expected_failure:
        return say(not why, case.name, why)
    if why:
        return say(True, f'{case.name} (expected failure: {case.expected_failure})')
    return say(False, case.name, 'passes now: take the mark "expected failure" away')


def run_family(name):
    module = importlib.import_module(f'{name}_cases')
    start, good, n = time.monotonic(), True, 0
    for make, cases in module.families():
        gw = make()
        try:
            for case in cases(gw):
                good &= run_case(gw, case)
                n += 1
                if gw and gw.dataplane.process.poll() is not None:
                    return say(False, f'{name}: the data plane ended', gw.dataplane.text()[-3000:])
        finally:
            if gw:
                gw.close()
    print(f'# {name}: {n} cases, {time.monotonic() - start:.1f} s', flush=True)
    return good


def listed(name):
    """Names of a family's cases, without a data plane."""
    module = importlib.import_module(f'{name}_cases')
    return [case.name for _, cases in module.families() for case in cases(None)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('family', nargs='*', metavar='FAMILY', help=', '.join(FAMILIES))
    parser.add_argument('--without', action='append', default=[], choices=FAMILIES)
    args = parser.parse_args()
    unknown = set(args.family) - set(FAMILIES)
    if unknown:
        parser.error(f'there is no family {", ".join(sorted(unknown))}')
    names = [name for name in args.family or FAMILIES if name not in args.without]
    casebed.wires()
    good = [run_family(name) for name in names]
    return 0 if all(good) else 1


if __name__ == '__main__':
    sys.exit(main())
