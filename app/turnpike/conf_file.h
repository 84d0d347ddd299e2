/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_file - the configuration file as a YAML document with positions, and the errors in it.
 *
 * Before the document is built, a pass over the parser's events refuses aliases (a few bytes of
 * them can stand for gigabytes), deep nesting (libyaml takes quadratic time) and a second
 * document.  What we hold of the file is wiped when it is closed; libyaml's own freed buffers are
 * out of our reach.
 *
 * Threads: control.
 */
#ifndef TP_APP_CONF_FILE_H
#define TP_APP_CONF_FILE_H

#include <yaml.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf_schema.h"

#define TP_CONF_FILE_MAX_BYTES (8u << 20) /* 65536 users of 128 bytes */
#define TP_CONF_FILE_MAX_DEPTH 16         /* the schema needs 4 */
#define TP_CONF_FILE_MAX_ERRORS 100       /* printed; the rest are counted */

/* "auth.users[65535].password" is the longest of the schema; an unknown key may be cut. */
struct tp_conf_path {
	char text[128];
};

struct tp_conf_file {
	const char *path; /* the caller's */
	FILE *err;
	uint32_t n_errors;
	uint8_t *data;
	size_t len;
	yaml_document_t doc;
	bool has_doc;
};

/**
 * Read and parse.  What is wrong with the YAML is printed; an errno is the caller's to print.
 *
 * @param[out] file  released with tp_conf_file_close(), also after an error
 * @return 0, errno of open or read, -EFBIG, -ENOMEM or -EINVAL (not YAML we accept)
 */
int tp_conf_file_open(struct tp_conf_file *file, const char *path, FILE *err);

/** Wipes; prints how many errors were not printed. */
void tp_conf_file_close(struct tp_conf_file *file);

/** @return the value of a key, NULL when absent; node may be NULL */
yaml_node_t *tp_conf_file_get(struct tp_conf_file *file, const yaml_node_t *node, const char *key);

/** @return the i-th entry of a list, NULL beyond its end; node may be NULL */
yaml_node_t *tp_conf_file_item(struct tp_conf_file *file, const yaml_node_t *node, uint32_t i);

/** Format a path: "listen[%u].port". */
struct tp_conf_path tp_conf_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * Print an error at a node: "file:line: path: value: message".
 *
 * @param node  NULL: the line is not known
 * @param row   of the option, to show its value; NULL: the value is not shown
 */
void tp_conf_error_node(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path, const char *fmt, ...)
		__attribute__((format(printf, 5, 6)));

/** Print an error of the option at path, with its value, or its default when it is absent. */
void tp_conf_error(struct tp_conf_file *file, const char *path, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));

#endif
