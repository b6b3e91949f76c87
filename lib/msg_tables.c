/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message tables: number, name, permitted sender and element sizes of every message, expanded
 * from the .def files. A server checks each request against its row before it looks at the body.
 * Elements without content (struct spw_msg_none) have size 0 on the wire. Constant; any thread.
 */
#include <stddef.h>

#include "lib/msg_dataplane.h"
#include "lib/msg_ike.h"

_Static_assert(sizeof(struct spw_msg_hdr) == 16, "the header has no padding");
_Static_assert(sizeof(struct spw_dp_sa_install) < SPW_MSG_MAX / 4, "an SA fits a message");

#define WIRE_SIZE(type) (sizeof(type) == sizeof(struct spw_msg_none) ? 0 : sizeof(type))

static const struct spw_dp_msg_info dp_table[] = {
#define SPW_DP_MSG(text, num, roles, request, reply) \
	{.name = #text,                              \
	 .who = (roles),                             \
	 .number = (num),                            \
	 .request_size = WIRE_SIZE(request),         \
	 .reply_size = WIRE_SIZE(reply)},
#include "lib/msg_dataplane.def"
};

static const struct spw_ike_msg_info ike_table[] = {
#define SPW_IKE_MSG(text, num, request, reply) \
	{.name = #text,                        \
	 .number = (num),                      \
	 .request_size = WIRE_SIZE(request),   \
	 .reply_size = WIRE_SIZE(reply)},
#include "lib/msg_ike.def"
};

const struct spw_dp_msg_info *
spw_dp_msg_info(uint16_t number)
{
	for (unsigned int i = 0; i < sizeof(dp_table) / sizeof(dp_table[0]); i++)
		if (dp_table[i].number == number)
			return &dp_table[i];
	return NULL;
}

const struct spw_ike_msg_info *
spw_ike_msg_info(uint16_t number)
{
	for (unsigned int i = 0; i < sizeof(ike_table) / sizeof(ike_table[0]); i++)
		if (ike_table[i].number == number)
			return &ike_table[i];
	return NULL;
}
