/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: prefixes that neighbours have withdrawn and the kernel still has. */
#ifndef SPW_CONTROL_BMP_MARKS_H
#define SPW_CONTROL_BMP_MARKS_H

#include "lib/spillway.h"

#define CTL_BMP_MARK_NS (2 * SPW_NS_PER_S) /* a mark holds no longer than this */
#define CTL_BMP_MARKS	262144		   /* at most; beyond, the kernel's word has to do */

struct ctl_bmp_marks;
struct ctl_bmp_neighbour;

/* NULL when out of memory. */
struct ctl_bmp_marks *ctl_bmp_marks_new(void);
void ctl_bmp_marks_free(struct ctl_bmp_marks *marks);
/* Mark a masked prefix as withdrawn by this neighbour (a key, not looked into) at now_ns, anew
 * when it is marked already. false when there is no room. */
bool ctl_bmp_mark(struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
		  const struct ctl_bmp_neighbour *by, uint64_t now_ns);
/* End a mark. true when there was one. */
bool ctl_bmp_unmark(struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
		    const struct ctl_bmp_neighbour *by);
/* The next neighbour after `after` (NULL = the first) that has marked the prefix and whose mark
 * holds at now_ns; NULL when none is left. */
const struct ctl_bmp_neighbour *ctl_bmp_marked(const struct ctl_bmp_marks *marks,
					       const struct spw_prefix *prefix,
					       const struct ctl_bmp_neighbour *after,
					       uint64_t now_ns);
/* Take out one mark that holds no more at now_ns and tell its prefix; false when there is none. */
bool ctl_bmp_marks_expire(struct ctl_bmp_marks *marks, uint64_t now_ns, struct spw_prefix *prefix);
/* When the oldest mark ends, 0 = there is none. */
uint64_t ctl_bmp_marks_next_ns(const struct ctl_bmp_marks *marks);
size_t ctl_bmp_marks_count(const struct ctl_bmp_marks *marks);

#endif
