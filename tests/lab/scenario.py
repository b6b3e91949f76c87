# SPDX-License-Identifier: BSD-3-Clause
"""Marks for scenarios."""


def bed_with(**options):
    """Decorator: the scenario's test bed is made with these options of Bed."""
    def mark(function):
        function.bed_options = options
        return function
    return mark
