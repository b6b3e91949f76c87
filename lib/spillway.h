/* SPDX-License-Identifier: BSD-3-Clause */
/* The public header of lib/: everything the daemons share. */
#ifndef SPW_LIB_SPILLWAY_H
#define SPW_LIB_SPILLWAY_H

#include "lib/addr.h"
#include "lib/algo.h"
#include "lib/bytes.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/msg.h"
#include "lib/msg_dataplane.h"
#include "lib/msg_ike.h"
#include "lib/notify.h"
#include "lib/sa_desc.h"
#include "lib/secret.h"

#endif
