/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic classes and capacity: the built-in classes, the message to the data plane, and the sum
 * that tells before a switch which classes a tunnel would not hold (azure.md 3: an Azure gateway
 * takes far less than a circuit). Pure functions.
 */
#include "control/capacity.h"

#include <stdio.h>
#include <string.h>

#define CLASS_OF_REST 2
#define FORGIVEN      1.005

/* clang-format off */
static const struct ctl_class built_in[SPW_DP_CLASSES] = {
	/* CS6 CS7 EF VOICE-ADMIT: routing and voice. */
	{"critical", 0, 20, 4, {48, 56, 46, 44}},
	/* AF4x AF3x CS3 CS4 CS5: video, signalling, transactions. */
	{"important", 1, 40, 9, {34, 36, 38, 26, 28, 30, 24, 32, 40}},
	{"normal", 2, 30, 0, {0}},
	/* CS1 and LE: what may wait. */
	{"bulk", 3, 10, 2, {8, 1}},
};
/* clang-format on */

void ctl_classes_default(struct ctl_class class[SPW_DP_CLASSES])
{
	memcpy(class, built_in, sizeof(built_in));
}

static const struct ctl_class *
classes_of(const struct ctl_config *config, unsigned int *n)
{
	*n = config->n_classes ? config->n_classes : SPW_DP_CLASSES;
	return config->n_classes ? config->class : built_in;
}

void
ctl_classes_message(const struct ctl_config *config, struct spw_dp_classes *out)
{
	unsigned int n;
	const struct ctl_class *c = classes_of(config, &n);

	memset(out, 0, sizeof(*out));
	memset(out->of_dscp, CLASS_OF_REST, sizeof(out->of_dscp));
	for (unsigned int i = 0; i < n; i++) {
		if (c[i].rank >= SPW_DP_CLASSES)
			continue;
		out->share_percent[c[i].rank] = (uint8_t)c[i].share_percent;
		for (unsigned int d = 0; d < c[i].n_dscp; d++)
			out->of_dscp[c[i].dscp[d] & 63] = (uint8_t)c[i].rank;
	}
}

void
ctl_classes_name(const struct ctl_config *config, unsigned int rank, char out[CTL_NAME])
{
	unsigned int n;
	const struct ctl_class *c = classes_of(config, &n);

	memcpy(out, "-", 2);
	for (unsigned int i = 0; i < n; i++)
		if (c[i].rank == rank)
			memcpy(out, c[i].name, CTL_NAME);
}

static double
smaller(double a, double b)
{
	return a < b ? a : b;
}

void
ctl_capacity_fit(const struct ctl_capacity *in, struct ctl_fit *out)
{
	double left = in->capacity_kbps, part;

	memset(out, 0, sizeof(*out));
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++)
		out->load_kbps += in->load_kbps[c];
	part = out->load_kbps > 0 ? smaller(1, in->capacity_kbps / out->load_kbps) : 1;
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
		out->granted_kbps[c] =
			in->shaped ? smaller(in->load_kbps[c],
					     in->capacity_kbps * in->share_percent[c] / 100)
				   : in->load_kbps[c] * part;
		left -= out->granted_kbps[c];
	}
	for (unsigned int c = 0; in->shaped && c < SPW_DP_CLASSES && left > 0; c++) {
		double more = smaller(in->load_kbps[c] - out->granted_kbps[c], left);

		out->granted_kbps[c] += more;
		left -= more;
	}
	out->all = true;
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
		out->fits[c] = in->load_kbps[c] <= out->granted_kbps[c] * FORGIVEN;
		out->all &= out->fits[c];
	}
}
