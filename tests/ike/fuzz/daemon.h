/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon around the engine, in the process of a fuzz target: everything but main.c. */
#ifndef SPW_TESTS_IKE_FUZZ_DAEMON_H
#define SPW_TESTS_IKE_FUZZ_DAEMON_H

#include "ike/iked/iked.h"

/* A fresh daemon without sockets; `d` is filled. End with fuzz_daemon_end(). */
void fuzz_daemon_begin(struct iked *d);
/* Handle what is ready, without waiting. */
void fuzz_daemon_turn(struct iked *d);
/* Free all of it; stops the run when a descriptor is left open. */
void fuzz_daemon_end(struct iked *d);
/* A connection from 127.0.0.1 to 127.0.0.2 as controld would send it. */
struct spw_ike_conn fuzz_conn(void);
/* Change bytes of `what`: the input is a list of offset (2 bytes) and value. */
void fuzz_patch(void *what, size_t size, const uint8_t *patches, size_t len);
void fuzz_daemon_broken(const char *what) __attribute__((noreturn));

#endif
