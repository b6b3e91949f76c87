# SPDX-License-Identifier: BSD-3-Clause
"""What the pages of conformance share: statements, tests that exist, names in test functions."""
import os
import re

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)


def statements(text):
    """Statement to (priority 1, in short), from lines `ID P1|-- in short`."""
    rows = [line.split(' ', 2) for line in text.strip().splitlines()]
    return {name: (priority == 'P1', short) for name, priority, short in rows}


def source(path):
    """A test's source, by its path under tests/; empty when it is gone."""
    try:
        with open(os.path.join(TESTS, path)) as f:
            return f.read()
    except OSError:
        return ''


def missing(elsewhere):
    """Sentences about (statement, file, test) that name no test function and no case."""
    return [f'{statement}: {test} is not in tests/{path}' for statement, path, test in elsewhere
            if not re.search(rf'\b{re.escape(test)}\(' if ' ' not in test else re.escape(test),
                             source(path))]
