/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often an engine made keys. The linker sends the calls that are counted here first
 * (--wrap), whoever makes them: a test sets the count to 0 before what it looks at.
 */
#include "tests/ike/counted.h"

#include "ike/engine.h"

unsigned int counted_dh_made, counted_keys_derived, counted_auths_computed;

int __real_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __real_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);
int __wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);

int
__wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	counted_dh_made++;
	return __real_ike_dh_new(dh, group);
}

int
__wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out)
{
	counted_keys_derived++;
	return __real_ike_keys_derive(in, out);
}

int __real_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
			 const struct ike_chunk *message, const struct ike_nonce *nonce,
			 const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out);
int __wrap_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
			 const struct ike_chunk *message, const struct ike_nonce *nonce,
			 const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out);

int
__wrap_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
		     const struct ike_chunk *message, const struct ike_nonce *nonce,
		     const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out)
{
	counted_auths_computed++;
	return __real_ike_keys_auth(prf, psk, message, nonce, p, id, out);
}
