/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taps of spillway-iked: linked with its own objects and --wrap, so that each secret it makes is
 * told to the test that started it. It is written from where it stands; the only copy made here,
 * of a private value, is wiped. The daemon is otherwise the one that is installed: privileges,
 * sandbox, event loop and all. One thread at a time writes a record, which a pipe keeps whole.
 */
#include "tests/ike/tapped.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ike/keys.h"

int __real_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __real_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out);
int __wrap_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out);
int __real_ike_prf(enum spw_prf prf, const void *key, size_t key_len, const struct ike_chunk *c,
		   size_t n, uint8_t *out);
int __wrap_ike_prf(enum spw_prf prf, const void *key, size_t key_len, const struct ike_chunk *c,
		   size_t n, uint8_t *out);
int __real_ike_prf_plus(enum spw_prf prf, const struct spw_secret *key, const struct ike_chunk *c,
			size_t n, size_t len, struct spw_secret *out);
int __wrap_ike_prf_plus(enum spw_prf prf, const struct spw_secret *key, const struct ike_chunk *c,
			size_t n, size_t len, struct spw_secret *out);
int __real_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);
int __wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);

int __real_iked_sandbox_enter(struct spw_err *err);
int __wrap_iked_sandbox_enter(struct spw_err *err);

static _Thread_local bool deriving;
static bool confined; /* set once, at start */

static void
tap(enum tap_kind kind, const void *bytes, size_t len)
{
	const char *fd = getenv(TAP_FD_NAME);
	struct tap_head head = {kind, (uint32_t)len};
	const struct iovec iov[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)bytes, len}};

	/* an unheard secret would be one not looked for */
	if (fd && writev(atoi(fd), iov, 2) != (ssize_t)(sizeof(head) + len))
		abort();
}

/* What whoever takes over the parser would do next. */
static void
sing(const char *canary)
{
	static const struct {
		const char *name;
		long number;
		uintptr_t arg[3];
	} calls[] = {
		{"open", SYS_openat, {(uintptr_t)AT_FDCWD, (uintptr_t) "/etc/passwd", 0}},
		{"exec", SYS_execve, {(uintptr_t) "/bin/true", 0, 0}},
		{"inet", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
		{"ptrace", SYS_ptrace, {PTRACE_ATTACH, 1, 0}},
		{"fork", SYS_clone, {SIGCHLD, 0, 0}},
		{"mprotect", SYS_mprotect, {0, 0, PROT_EXEC}},
		{"mmap", SYS_mmap, {0, 4096, PROT_EXEC}},
		{"kill", SYS_kill, {1, 0, 0}},
		{"setuid", SYS_setuid, {0, 0, 0}},
		{"memfd", SYS_memfd_create, {(uintptr_t) "x", 0, 0}},
	};

	for (size_t i = 0; canary && confined && i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(canary, calls[i].name) == 0)
			(void)syscall(calls[i].number, calls[i].arg[0], calls[i].arg[1],
				      calls[i].arg[2], 0L, 0L, 0L);
}

int
__wrap_iked_sandbox_enter(struct spw_err *err)
{
	int rc = __real_iked_sandbox_enter(err);

	confined = rc == 0;
	return rc;
}

int
__wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	int rc = __real_ike_dh_new(dh, group);
	uint8_t private[IKE_DH_PRIVATE_MAX];
	size_t at = 0;

	sing(getenv(TAP_CANARY_NAME));
	if (rc != 0 || ike_dh_private(*dh, private) != 0)
		return rc;
	while (at < sizeof(private) && private[at] == 0)
		at++;
	tap(TAP_DH_PRIVATE, private + at, sizeof(private) - at);
	spw_wipe(private, sizeof(private));
	return 0;
}

int
__wrap_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out)
{
	int rc = __real_ike_dh_shared(dh, peer, len, out);

	if (rc == 0)
		tap(TAP_DH_SHARED, out->bytes, out->len);
	return rc;
}

int
__wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out)
{
	int rc;

	deriving = true;
	rc = __real_ike_keys_derive(in, out);
	deriving = false;
	return rc;
}

int
__wrap_ike_prf(enum spw_prf prf, const void *key, size_t key_len, const struct ike_chunk *c,
	       size_t n, uint8_t *out)
{
	int rc = __real_ike_prf(prf, key, key_len, c, n, out);

	if (rc == 0 && deriving)
		tap(TAP_SEED, out, spw_prf_info(prf)->len);
	else if (rc == 0 && n == 1 && c[0].len == 17 &&
		 memcmp(c[0].bytes, "Key Pad for IKEv2", 17) == 0)
		tap(TAP_PADDED_PSK, out, spw_prf_info(prf)->len);
	return rc;
}

int
__wrap_ike_prf_plus(enum spw_prf prf, const struct spw_secret *key, const struct ike_chunk *c,
		    size_t n, size_t len, struct spw_secret *out)
{
	int rc = __real_ike_prf_plus(prf, key, c, n, len, out);

	if (rc == 0)
		tap(deriving ? TAP_IKE_KEYS : TAP_CHILD_KEYS, out->bytes, len);
	return rc;
}
