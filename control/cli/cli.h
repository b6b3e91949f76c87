/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/cli/: the shell. One thread. */
#ifndef SPW_CONTROL_CLI_H
#define SPW_CONTROL_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "control/model.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

enum cli_mode { CLI_MODE_OPER = 1, CLI_MODE_CONF = 2, CLI_MODE_BOTH = 3 };

enum cli_action {
	CLI_SHOW,
	CLI_SHOW_CONFIGURATION,
	CLI_SHOW_REVISIONS,
	CLI_RUNTIME,
	CLI_MONITOR_FAILOVER,
	CLI_CONFIGURE,
	CLI_SET,
	CLI_DELETE,
	CLI_COMPARE,
	CLI_COMMIT,
	CLI_COMMIT_CHECK,
	CLI_COMMIT_CONFIRMED,
	CLI_COMMIT_COMMENT,
	CLI_CONFIRM,
	CLI_ROLLBACK,
	CLI_SAVE,
	CLI_LOAD,
	CLI_EXIT,
	CLI_EXIT_DISCARD,
	CLI_HELP,
};

struct cli_command {
	enum cli_mode mode;
	enum cli_action action;
	const char *what;
	const char *pattern;
	const char *help;
};

/* A line matched to a command: its words written out, and the arguments among them. */
struct cli_match {
	const struct cli_command *command;
	unsigned int n;
	const char *word[CTL_WORDS_MAX]; /* literals in full, arguments as typed */
	const char *arg;		 /* the first argument, NULL = none */
	unsigned int rest;		 /* index of the first word of <rest> */
	char store[512];		 /* the literals */
};

/* Something that may come next. */
struct cli_offer {
	char word[CTL_TEXT];
	char help[CTL_TEXT * 2];
	bool placeholder;
};
struct cli_offers {
	struct cli_offer *item;
	unsigned int n, size;
};

struct cli {
	const char *path; /* control.sock */
	int fd;		  /* -1 = not connected */
	char *input;	  /* bytes received, not used yet */
	size_t input_len, input_size;
	bool json;	  /* --json */
	bool configuring; /* configure mode */
	bool any_mode;	  /* scripts and one-shots: every command works */
	bool began;	  /* a script may take its edits back */
	bool interactive;
	bool colour;
	bool leave;
	char host_name[64];
};

/* Set by SIGINT; a wait for an answer ends then. */
extern volatile int cli_interrupted;

/* --- client.c: control.sock */
/*
 * Send a request (taken) and wait for its answer. Returns the result (new reference), or NULL with
 * a sentence; bad_line receives the index of a refused line when not NULL, -1 = none.
 */
json_t *cli_request(struct cli *cli, json_t *request, long *bad_line, struct spw_err *err);
void cli_disconnect(struct cli *cli);

/* --- command.c: the table */
extern const struct cli_command cli_commands[];
extern const unsigned int cli_n_commands;
/*
 * Match words (borrowed by the match). 0, or -EINVAL with a sentence. Words may be shortened while
 * unique.
 */
int cli_match(const char *const *word, unsigned int n, enum cli_mode mode, struct cli_match *match,
	      struct spw_err *err);
/*
 * What may follow the words; a kind of argument is offered as "<kind>". A finished command offers
 * an item with an empty word.
 */
void cli_offer_commands(const char *const *word, unsigned int n, enum cli_mode mode,
			struct cli_offers *offers);
void cli_offer_add(struct cli_offers *offers, const char *word, const char *help, bool placeholder);
void cli_offers_free(struct cli_offers *offers);
/* docs/cli.md, appended. */
void cli_document(struct ctl_lines *out);

/* --- complete.c */
/* Everything that may stand at the end of the line, names asked from controld. */
void cli_complete(struct cli *cli, const char *line, struct cli_offers *offers);
/* Words behind `set tunnel NAME` that ask for a secret; ends with NULL. */
struct cli_secret {
	const char *word, *help;
};
extern const struct cli_secret cli_secrets[];
bool cli_is_secret_word(const char *word);
/* Does a word of the line ask for a key, as in "... ppk"? false for what cannot be split. */
bool cli_asks_key(const char *line);
/*
 * May a key stand in the line, behind a word that asks for one or the beginning of such a word?
 * true for what cannot be split into words, too.
 */
bool cli_may_hold_key(const char *line);

/* --- format.c: values for people; each returns out */
#define CLI_CELL 256
char *cli_format_count(json_int_t n, char out[CLI_CELL]);
char *cli_format_bytes(double n, char out[CLI_CELL]);
char *cli_format_rate(double bps, char out[CLI_CELL]);
/* Seconds: "38:12", "05:31:02", "3d02:11". */
char *cli_format_age(double s, char out[CLI_CELL]);
/* Seconds, short: "41us", "0.87s", "3s". */
char *cli_format_short(double s, char out[CLI_CELL]);
/* A date of JSON to "2026-08-19 02:14:07.311". */
char *cli_format_date(const char *at, char out[CLI_CELL]);

/* --- render.c: one function from JSON to text */
struct cli_style {
	bool detail;
	bool counters;
	bool colour;
};
/* Write `what` for people. false when the object is not as docs/show-json.md says. */
bool cli_render(FILE *out, const char *what, const json_t *data, const struct cli_style *style);
/* What is more than one table; false when `what` is none of that or not of its form. */
bool cli_render_failover(FILE *out, const char *what, const json_t *data,
			 const struct cli_style *style);
/* The phases of a drill's report; false when there are none. */
bool cli_render_phases(FILE *out, const json_t *report);
/* One event of `monitor failover`, a line. */
void cli_render_event(FILE *out, const json_t *event);
/* One switch, as in `show failover` and `monitor failover`. */
void cli_render_switch(FILE *out, const json_t *last);

/* --- table.c: aligned columns */
struct cli_column {
	const char *header;
	unsigned int width; /* least, with the gap */
	/* Cell of a row into out; "-" when there is nothing to say. */
	void (*cell)(const json_t *row, char out[CLI_CELL]);
	bool state; /* coloured by its word */
};
/*
 * @trailer  appended behind a row when it writes something; may be NULL
 */
void cli_table(FILE *out, const struct cli_column *column, unsigned int n, const json_t *rows,
	       void (*trailer)(const json_t *row, char out[CLI_CELL]), bool colour);
/* Replace control characters, so that foreign text cannot write on the terminal. */
void cli_make_printable(char *text);
/* Every key of every row, one a line. */
void cli_table_detail(FILE *out, const json_t *rows, const char *name_key);

/* --- output.c: what follows a | */
struct cli_filters {
	bool json;
	unsigned int n;
	struct {
		enum { CLI_MATCH, CLI_EXCEPT, CLI_COUNT } kind;
		const char *pattern;
	} item[8];
};
/* Words after the first "|". 0, or -EINVAL with a sentence. */
int cli_filters_parse(struct cli_filters *filters, const char *const *word, unsigned int n,
		      struct spw_err *err);
/* Print text (changed) through the filters. 0, or -EINVAL with a sentence for a bad expression. */
int cli_filters_print(const struct cli_filters *filters, char *text, FILE *out,
		      struct spw_err *err);

/* --- execute.c */
/* Run one line; messages go to stdout and stderr. */
enum cli_exit cli_execute(struct cli *cli, const char *line);
/* Tell an error on stderr, with a place in front when not NULL. */
void cli_error(const char *where, const char *text);

/* --- edit.c: commands of configure mode */
enum cli_exit cli_edit(struct cli *cli, const struct cli_match *match,
		       const struct cli_filters *filters, const char *line);
/* Send lines in frames that fit. 0, or -errno with a sentence; bad_line as in cli_request. */
int cli_send_lines(struct cli *cli, const char *const *line, size_t n, bool clear, long *bad_line,
		   struct spw_err *err);
/* Remember the candidate, and return to it. */
int cli_begin(struct cli *cli, struct spw_err *err);
void cli_abort(struct cli *cli);

/* --- monitor.c */
enum cli_exit cli_monitor(struct cli *cli);

/* --- script.c */
enum cli_exit cli_script(struct cli *cli, FILE *in, const char *name);

/* --- interactive.c */
enum cli_exit cli_interactive(struct cli *cli);

#endif
