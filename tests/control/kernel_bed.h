/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the runtime over the real kernel share: a namespace, a directory, `ip`. */
#ifndef SPW_TESTS_CONTROL_KERNEL_BED_H
#define SPW_TESTS_CONTROL_KERNEL_BED_H

#include <stdbool.h>

#include "lib/spillway.h"

/*
 * Enter a network namespace of its own and make a directory.
 * @dir  template for mkdtemp()
 * *entered is false, with 0, when that needs rights this process has not: then tests skip.
 */
int bed_enter(char *dir, bool *entered);
/* Remove the directory with what the runtime and its double leave there. */
int bed_leave(const char *dir);
/* Run `ip` with these words; its exit status, -1 when it was killed. */
int ip_status(const char *words);
/* The same; any failure fails the test. */
void ip(const char *words);
/* A prefix or address from its text. */
struct spw_prefix prefix(const char *text);

#endif
