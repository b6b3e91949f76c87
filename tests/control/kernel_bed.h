/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests over the real kernel share: `ip`, and prefixes of text. */
#ifndef SPW_TESTS_CONTROL_KERNEL_BED_H
#define SPW_TESTS_CONTROL_KERNEL_BED_H

#include "lib/spillway.h"

/* Run `ip` with these words; its exit status, -1 when it was killed. */
int ip_status(const char *words);
/* The same; any failure fails the test. */
void ip(const char *words);
/* A prefix or address from its text. */
struct spw_prefix prefix(const char *text);

#endif
