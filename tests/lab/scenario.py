# SPDX-License-Identifier: BSD-3-Clause
"""Marks for scenarios: what bed they want and how they leave it."""


def bed_with(**options):
    """Decorator: the scenario's test bed is made with these options of Bed."""
    def mark(function):
        function.bed_options = options
        return function
    return mark


def leaves_bed_clean(function):
    """Decorator: when it passes, the bed is as before, so the next such scenario may have it."""
    function.leaves_bed_clean = True
    return function


def ends_bed(function):
    """Decorator: it may have the shared bed, as the last that does."""
    function.ends_bed = True
    return function


def unmeasured(function):
    """Decorator: it judges neither times nor losses, and its labs have names of their own; so another
    such scenario may run beside it."""
    function.unmeasured = True
    return function


def long_form(function):
    """Decorator: run in the long form only (SPILLWAY_LAB_LONG=1), or when named."""
    function.long_form = True
    return function
