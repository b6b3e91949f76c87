/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taps of spillway-iked: linked with its own objects and --wrap, so that each secret it makes is
 * told to the test that started it. It is written from where it stands; the only copy made here,
 * of a private value, is wiped. The daemon is otherwise the one that is installed: privileges,
 * sandbox, event loop and all. One thread at a time writes a record, which a pipe keeps whole.
 */
#include "tests/ike/tapped.h"

#include <stdlib.h>
#include <string.h>
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

static _Thread_local bool deriving;

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

int
__wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	int rc = __real_ike_dh_new(dh, group);
	uint8_t private[IKE_DH_PRIVATE_MAX];
	size_t at = 0;

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
