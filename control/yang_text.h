/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_CONTROL_YANG_TEXT_H
#define SPW_CONTROL_YANG_TEXT_H

/* The text of conf/spillway.yang, built in. */
extern const char spillway_yang[];

#endif
