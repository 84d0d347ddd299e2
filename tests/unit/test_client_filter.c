/* SPDX-License-Identifier: Apache-2.0 */
#include "io/client_filter.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct tp_bpf_clients keys = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 }, 0, 0 };

static struct tp_client_filter *filter_new(uint32_t max_clients)
{
	struct tp_client_filter *f = calloc(1, sizeof(*f));
	uint32_t n = tp_client_filter_buckets(max_clients);

	f->conf = keys;
	f->conf.mask = n - 1;
	f->buckets = calloc(n, sizeof(*f->buckets));
	assert_non_null(f->buckets);
	return f;
}

static void filter_free(struct tp_client_filter *f)
{
	free(f->buckets);
	free(f);
}

/* Client i of one host. */
static struct tp_bpf_client client(uint64_t i)
{
	return (struct tp_bpf_client){ { 0x0200a8c0, 0, i } };
}

/* As OpenSSL computes it. */
static uint64_t siphash_1_3(const struct tp_bpf_client *c)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	unsigned c_rounds = 1, d_rounds = 3;
	size_t size = 8, len;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t("size", &size),
		OSSL_PARAM_construct_uint("c-rounds", &c_rounds),
		OSSL_PARAM_construct_uint("d-rounds", &d_rounds),
		OSSL_PARAM_construct_end(),
	};
	uint64_t hash;

	assert_int_equal(EVP_MAC_init(ctx, (const uint8_t *)keys.key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, (const uint8_t *)c->word, sizeof(c->word)), 1);
	assert_int_equal(EVP_MAC_final(ctx, (uint8_t *)&hash, &len, sizeof(hash)), 1);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return hash;
}

static void the_hash_is_siphash(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		const struct tp_bpf_client c = { { i, ~i << 7, i * 0x9e3779b97f4a7c15 } };

		assert_true(tp_bpf_client_hash(&keys, &c) == siphash_1_3(&c));
	}
}

static void a_tag_leads_to_the_same_two_buckets_from_both(void **state)
{
	struct tp_bpf_clients conf = keys;

	(void)state;
	conf.mask = 0xfff;
	for (uint64_t i = 0; i < 100000; i++) {
		const struct tp_bpf_client c = client(i);
		const struct tp_bpf_client_place p = tp_bpf_client_place(&conf, &c);

		assert_in_range(p.tag, 1, TP_BPF_CLIENT_TAG_MASK);
		assert_true(p.bucket[0] <= conf.mask && p.bucket[1] <= conf.mask);
		assert_int_equal(tp_bpf_client_other(&conf, p.bucket[0], p.tag), p.bucket[1]);
		assert_int_equal(tp_bpf_client_other(&conf, p.bucket[1], p.tag), p.bucket[0]);
	}
}

static void there_is_twice_as_much_room_as_asked_for(void **state)
{
	static const struct {
		uint32_t clients, buckets;
	} cases[] = { { 0, 512 }, { 1, 512 }, { 1024, 512 }, { 1025, 1024 }, { 65536, 32768 },
		{ 4000000, 2097152 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(tp_client_filter_buckets(cases[i].clients), cases[i].buckets);
}

/* All that there may be: none is refused, all are found, few others, and nothing is left. */
static void as_many_as_foreseen_find_a_place(void **state)
{
	const uint32_t n = 65536, others = 1000000;
	struct tp_client_filter *f = filter_new(n);
	uint32_t i, wrong = 0;
	struct tp_bpf_client c;

	(void)state;
	for (i = 0; i < n; i++) {
		c = client(i);
		assert_int_equal(tp_client_filter_add(f, &c), 0);
	}
	assert_int_equal(f->n, n);
	assert_int_equal(f->refused, 0);
	for (i = 0; i < n; i++) {
		c = client(i);
		assert_true(tp_client_filter_has(f, &c));
	}
	for (i = 0; i < others; i++) {
		c = client((uint64_t)n + i);
		wrong += tp_client_filter_has(f, &c);
	}
	/* One in 16,384: 61, and eight standard deviations */
	assert_in_range(wrong, 1, 61 + 8 * 8);

	for (i = 0; i < n; i++) {
		c = client(i);
		tp_client_filter_del(f, &c);
	}
	assert_int_equal(f->n, 0);
	for (i = 0; i <= f->conf.mask; i++)
		assert_true(f->buckets[i] == 0);
	filter_free(f);
}

/* Clients come and go, at most so many of n * 4 at a time; those who are there are found. */
static void come_and_go(struct tp_client_filter *f, uint32_t n, uint32_t at_most, uint32_t rounds)
{
	bool *is_in = calloc(4 * (size_t)n, sizeof(*is_in));
	struct tp_bpf_client c;
	uint64_t random = 1;

	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t k;

		random = random * 6364136223846793005u + 1442695040888963407u;
		k = (uint32_t)(random >> 40) % (4 * n);
		c = client(k);
		if (is_in[k]) {
			tp_client_filter_del(f, &c);
			is_in[k] = false;
		} else if (f->n < at_most) {
			is_in[k] = tp_client_filter_add(f, &c) == 0;
		}
		for (k = 0; i % 1000 == 0 && k < 4 * n; k++) {
			c = client(k);
			assert_true(!is_in[k] || tp_client_filter_has(f, &c));
		}
	}
	free(is_in);
}

/* Whoever goes, those who stay are found: tags that are alike stand for each other. */
static void who_stays_is_found(void **state)
{
	struct tp_client_filter *f = filter_new(1024);

	(void)state;
	come_and_go(f, 1024, 1024, 200000);
	assert_int_equal(f->refused, 0);
	filter_free(f);
}

/* Also where not all find a place: who was refused takes nobody's when he goes. */
static void who_stays_is_found_in_a_crowd(void **state)
{
	struct tp_client_filter *f = filter_new(1024);

	(void)state;
	come_and_go(f, 2048, UINT32_MAX, 1000000);
	assert_in_range(f->refused, 10000, 1000000);
	filter_free(f);
}

static void the_same_twice_goes_in_two_steps(void **state)
{
	struct tp_client_filter *f = filter_new(1);
	const struct tp_bpf_client c = client(7);

	(void)state;
	assert_int_equal(tp_client_filter_add(f, &c), 0);
	assert_int_equal(tp_client_filter_add(f, &c), 0);
	tp_client_filter_del(f, &c);
	assert_true(tp_client_filter_has(f, &c));
	tp_client_filter_del(f, &c);
	assert_false(tp_client_filter_has(f, &c));
	tp_client_filter_del(f, &c);
	assert_int_equal(f->n, 0);
	filter_free(f);
}

static void what_finds_no_place_is_counted(void **state)
{
	struct tp_client_filter *f = filter_new(1);
	const uint32_t places = 512 * TP_BPF_CLIENT_TAGS;
	uint32_t i, refused = 0;

	(void)state;
	for (i = 0; i < 2 * places; i++) {
		const struct tp_bpf_client c = client(i);

		refused += tp_client_filter_add(f, &c) == -ENOSPC;
	}
	assert_int_equal(f->refused, refused);
	assert_int_equal(f->n, 2 * places - refused);
	assert_in_range(f->n, places * 9 / 10, places);
	filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash),
		cmocka_unit_test(a_tag_leads_to_the_same_two_buckets_from_both),
		cmocka_unit_test(there_is_twice_as_much_room_as_asked_for),
		cmocka_unit_test(as_many_as_foreseen_find_a_place),
		cmocka_unit_test(who_stays_is_found),
		cmocka_unit_test(who_stays_is_found_in_a_crowd),
		cmocka_unit_test(the_same_twice_goes_in_two_steps),
		cmocka_unit_test(what_finds_no_place_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
