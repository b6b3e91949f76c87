/* SPDX-License-Identifier: BSD-3-Clause */
/* How often an engine made keys: these functions are wrapped by the linker. */
#ifndef SPW_TESTS_IKE_COUNTED_H
#define SPW_TESTS_IKE_COUNTED_H

extern unsigned int counted_dh_made;	    /* calls of ike_dh_new() */
extern unsigned int counted_keys_derived;   /* of ike_keys_derive() */
extern unsigned int counted_auths_computed; /* of ike_keys_auth() */

#endif
