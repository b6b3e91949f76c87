/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, ages and dates as the shell prints them. Pure functions. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"

char *
cli_format_count(json_int_t n, char out[CLI_CELL])
{
	char plain[32];
	size_t len = (size_t)snprintf(plain, sizeof(plain), "%" JSON_INTEGER_FORMAT, n), at = 0;

	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0 && plain[i - 1] != '-')
			out[at++] = ',';
		out[at++] = plain[i];
	}
	out[at] = '\0';
	return out;
}

char *
cli_format_bytes(double n, char out[CLI_CELL])
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, CLI_CELL, "%.0f", n);
	else
		snprintf(out, CLI_CELL, "%.1f%c", n, units[unit]);
	return out;
}

char *
cli_format_rate(double bps, char out[CLI_CELL])
{
	static const char *const units[] = {"b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"};
	int unit = 0;

	while (bps >= 1000 && unit < 4) {
		bps /= 1000;
		unit++;
	}
	snprintf(out, CLI_CELL, unit ? "%.1f %s" : "%.0f %s", bps, units[unit]);
	return out;
}

char *
cli_format_age(double s, char out[CLI_CELL])
{
	uint64_t t = s > 0 ? (uint64_t)s : 0;

	if (t < 3600)
		snprintf(out, CLI_CELL, "%02" PRIu64 ":%02" PRIu64, t / 60, t % 60);
	else if (t < 86400)
		snprintf(out, CLI_CELL, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, t / 3600,
			 t / 60 % 60, t % 60);
	else
		snprintf(out, CLI_CELL, "%" PRIu64 "d%02" PRIu64 ":%02" PRIu64, t / 86400,
			 t / 3600 % 24, t / 60 % 60);
	return out;
}

char *
cli_format_short(double s, char out[CLI_CELL])
{
	if (s == 0)
		snprintf(out, CLI_CELL, "0s");
	else if (s < 0.001)
		snprintf(out, CLI_CELL, "%.0fus", s * 1e6);
	else if (s < 0.1)
		snprintf(out, CLI_CELL, "%.1fms", s * 1e3);
	else if (s < 2 && s != (double)(int)s)
		snprintf(out, CLI_CELL, "%.2fs", s);
	else if (s < 120)
		snprintf(out, CLI_CELL, "%.0fs", s);
	else
		cli_format_age(s, out);
	return out;
}

char *
cli_format_date(const char *at, char out[CLI_CELL])
{
	size_t n = 0;

	for (; at && *at && n + 1 < CLI_CELL; at++)
		if (*at != 'Z')
			out[n++] = *at == 'T' ? ' ' : *at;
	out[n] = '\0';
	return out;
}
