/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_check - from a document to a configuration, in three steps.
 *
 *     tp_conf_check_document   every node against its row: keys, types, ranges, forms
 *     tp_conf_raw_load         libcyaml loads what is known good; absent options get defaults
 *     tp_conf_build_*          what options mean together; fills struct tp_conf
 *
 * A step adds all its errors to file->n_errors; the next runs only when there are none.
 *
 * Threads: control.
 */
#ifndef TP_APP_CONF_CHECK_H
#define TP_APP_CONF_CHECK_H

#include "conf.h"
#include "conf_file.h"
#include "conf_schema.h"

void tp_conf_check_document(struct tp_conf_file *file);

/**
 * @param[out] out  released with tp_conf_raw_free()
 * @return 0, -ENOMEM, or -EINVAL with the reason printed
 */
int tp_conf_raw_load(struct tp_conf_file *file, struct tp_conf_raw **out);

/** Wipes secrets; NULL is fine. */
void tp_conf_raw_free(struct tp_conf_raw *raw);

/**
 * What a reload can not change, a line for each option: PATH TAB VALUE.
 *
 * @param[out] out  the caller's, to free()
 * @return 0 or -ENOMEM
 */
int tp_conf_fixed(const struct tp_conf_raw *raw, char **out);

/* Each returns 0 or -ENOMEM; conf is released by tp_conf_free() as far as it got. */

/** realm, users, secrets */
int tp_conf_build_auth(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf);

/** listeners, relays, relayed ports, peers, metrics */
int tp_conf_build_addresses(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf);

/** interfaces, cores */
int tp_conf_build_layout(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf);

#endif
