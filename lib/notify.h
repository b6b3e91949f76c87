/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_NOTIFY_H
#define SPW_LIB_NOTIFY_H

/*
 * Tell the service manager a state ("READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"); the
 * protocol of sd_notify(3): one datagram to the socket named by NOTIFY_SOCKET. Does nothing when
 * the variable is not set. Main thread.
 */
void spw_notify(const char *state);

#endif
