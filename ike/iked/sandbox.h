/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/iked/: what the kernel lets iked do once it has started. */
#ifndef SPW_IKED_SANDBOX_H
#define SPW_IKED_SANDBOX_H

#include "lib/spillway.h"

/*
 * From here on the process ends (SIGSYS) at any system call that its event loop does not need: no
 * file is opened, no program run, no process made, no Internet socket opened, no memory made
 * executable. Needs no_new_privs or root. Before any thread but the caller exists; for good.
 * 0 or -errno with a sentence.
 */
int iked_sandbox_enter(struct spw_err *err) __attribute__((warn_unused_result));

#endif
