/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tables point to: made at start, freed at the end. Apart from tables.c, so that the
 * lookups can be tested without an EAL. API thread, no worker runs yet or any more.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/fib.h"
#include "dataplane/fib6.h"
#include "dataplane/neigh.h"
#include "dataplane/options.h"
#include "dataplane/path_bits.h"
#include "dataplane/tables.h"

int
dp_tables_start(struct dp_tables *t, const struct dp_options *o, struct rte_rcu_qsbr *qsbr,
		struct spw_err *err)
{
	t->qsbr = qsbr;
	t->neighs = dp_neighs_new();
	t->bits = malloc(sizeof(*t->bits));
	if (!t->neighs || !t->bits)
		return spw_fail(err, -ENOMEM, "no memory for the tables");
	dp_path_bits_init(t->bits);
	int rc = dp_fib_new(&t->fib, o->max_routes, qsbr, err);

	return rc == 0 ? dp_fib6_new(&t->fib6, o->max_routes6, qsbr, err) : rc;
}

void
dp_tables_stop(struct dp_tables *t)
{
	if (!t)
		return;
	dp_fib_free(t->fib);
	dp_fib6_free(t->fib6);
	dp_neighs_free(t->neighs);
	if (t->bits)
		dp_path_bits_fini(t->bits);
	free(t->bits);
	dp_tables_free(t);
}
