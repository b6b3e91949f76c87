/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spillway: the shell. Options decide once what it is: interactive on a terminal, a script (-f, or
 * standard input that is no terminal), or one-shot (-c, or the words behind the options).
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"

#define COMMANDS_MAX 32

static const char usage[] =
	"usage: spillway [--run-dir DIR] [--json] [-c COMMAND]... [-f FILE] [COMMAND...]\n"
	"  -c COMMAND     run one command; may be repeated\n"
	"  -f FILE        run the lines of a file (- for standard input)\n"
	"  --json         answers of show as JSON\n"
	"  --run-dir DIR  where control.sock is (/run/spillway)\n"
	"  --version, --help\n";

struct options {
	const char *run_dir, *file;
	const char *command[COMMANDS_MAX];
	unsigned int n_commands;
	bool json;
};

static const struct option long_options[] = {
	{"run-dir", required_argument, NULL, 'r'},
	{"json", no_argument, NULL, 'j'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int
take_option(struct options *o, int c)
{
	switch (c) {
	case 'r': o->run_dir = optarg; return 0;
	case 'f': o->file = optarg; return 0;
	case 'j': o->json = true; return 0;
	case 'V': printf("spillway %s\n", SPILLWAY_VERSION); return 1;
	case 'h': fputs(usage, stdout); return 1;
	case 'c':
		if (o->n_commands < COMMANDS_MAX) {
			o->command[o->n_commands++] = optarg;
			return 0;
		}
		fprintf(stderr, "error: more than %d commands: use -f\n", COMMANDS_MAX);
		return -EINVAL;
	default: fputs(usage, stderr); return -EINVAL;
	}
}

/* The words behind the options, quoted where they have to be, as one command. */
static int
join_words(struct options *o, int argc, char **argv, char out[CTL_LINE_MAX])
{
	out[0] = '\0';
	for (int i = optind; i < argc; i++) {
		if (argv[i][strcspn(argv[i], "\r\n")]) { /* what stands behind would be run */
			cli_error(NULL, "a word holds the end of a line: give one line");
			return -EINVAL;
		}
		if (i > optind)
			strncat(out, " ", CTL_LINE_MAX - strlen(out) - 1);
		if (strcmp(argv[i], "|") == 0)
			strncat(out, "|", CTL_LINE_MAX - strlen(out) - 1);
		else
			ctl_word_append(out, CTL_LINE_MAX, argv[i]);
	}
	if (strlen(out) >= CTL_LINE_MAX - 2) { /* it may have been cut */
		cli_error(NULL, "the command is too long: give less than 4094 bytes");
		return -EINVAL;
	}
	if (optind < argc && o->n_commands < COMMANDS_MAX)
		o->command[o->n_commands++] = out;
	return 0;
}

static int
parse_options(struct options *o, int argc, char **argv, char words[CTL_LINE_MAX])
{
	int c, rc = 0;

	*o = (struct options){.run_dir = "/run/spillway"};
	while (rc == 0 && (c = getopt_long(argc, argv, "+c:f:", long_options, NULL)) != -1)
		rc = take_option(o, c);
	if (rc == 0)
		rc = join_words(o, argc, argv, words);
	if (rc == 0 && o->file && o->n_commands) {
		fputs("error: -f and a command exclude each other\n", stderr);
		rc = -EINVAL;
	}
	return rc;
}

static enum cli_exit
run_commands(struct cli *cli, const struct options *o)
{
	char *text = NULL;
	size_t len;
	FILE *in, *out = open_memstream(&text, &len);
	enum cli_exit code;

	if (out == NULL)
		abort();
	for (unsigned int i = 0; i < o->n_commands; i++)
		fprintf(out, "%s\n", o->command[i]);
	fclose(out);
	in = fmemopen(text, len, "r");
	if (in == NULL)
		abort();
	code = cli_script(cli, in, "command");
	fclose(in);
	free(text);
	return code;
}

static enum cli_exit
run_file(struct cli *cli, const char *name)
{
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	enum cli_exit code;

	if (in == NULL) {
		cli_error(name, strerror(errno));
		return CLI_FAILED;
	}
	code = cli_script(cli, in, strcmp(name, "-") == 0 ? "stdin" : name);
	if (in != stdin)
		fclose(in);
	return code;
}

int
main(int argc, char **argv)
{
	struct cli cli = {.fd = -1, .host_name = "spillway"};
	char words[CTL_LINE_MAX], path[CTL_PATH];
	enum cli_exit code;
	struct options o;
	int rc = parse_options(&o, argc, argv, words);

	if (rc != 0)
		return rc < 0 ? CLI_USAGE : CLI_OK;
	signal(SIGPIPE, SIG_DFL);
	snprintf(path, sizeof(path), "%.240s/control.sock", o.run_dir);
	cli.path = path;
	cli.json = o.json;
	cli.colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL &&
		     strcmp(getenv("TERM") ? getenv("TERM") : "dumb", "dumb") != 0;
	cli.interactive = !o.file && !o.n_commands && isatty(STDIN_FILENO);
	cli.any_mode = !cli.interactive;
	if (o.n_commands)
		code = run_commands(&cli, &o);
	else if (o.file || !cli.interactive)
		code = run_file(&cli, o.file ? o.file : "-");
	else
		code = cli_interactive(&cli);
	cli_disconnect(&cli);
	if (fflush(stdout) != 0 && code == CLI_OK)
		code = CLI_FAILED;
	return (int)code;
}
