/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail, one after the other. */
#include "resolver_rig.h"

/* Linked with --wrap: the n-th allocation from now fails; 0: none does. */
static uint32_t fail_at;

static bool is_to_fail(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	return is_to_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return is_to_fail() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return is_to_fail() ? NULL : __real_aligned_alloc(align, bytes);
}

static void bind_without_memory_fails_cleanly_or_resolves_later(void **state)
{
	struct bed *b = *state;
	struct tp_addr src = fake_ip(SRC), dst = fake_ip(PEER);
	uint32_t n;
	int rc;

	bed_script_gateway(b);
	for (n = 1;; n++) {
		fail_at = n;
		rc = tp_resolver_bind(b->r, &b->flow[0], &src, &dst, &b->resolved[0]);
		if (rc == 0 && fail_at > 0)
			break; /* every allocation has failed once */
		fail_at = 0;
		if (rc == 0) {
			/* Only the next hop was missing. */
			assert_null(bed_next_hop(b, 0));
			bed_tick_after(b, 1000);
			assert_non_null(bed_next_hop(b, 0));
			bed_unbind(b, 0);
		} else {
			assert_int_equal(rc, -ENOMEM);
			assert_null(b->resolved[0]);
			assert_null(bed_next_hop(b, 0));
		}
	}
	fail_at = 0;
	assert_int_equal(n, 1 + 5); /* binding, route, neighbour, hop, next hop */
	assert_non_null(bed_next_hop(b, 0));
}

static void change_without_memory_leaves_the_flow_to_the_kernel_and_is_made_up_for(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	fail_at = 1;
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(2));
	assert_null(bed_next_hop(b, 0));
	bed_tick_after(b, 1000);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 2);

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(3));
	tp_resolver_events.on_route(b->r);
	fail_at = 1;
	assert_false(bed_tick_after(b, 1000));
	assert_int_equal(fail_at, 0);
	assert_null(bed_next_hop(b, 0));
	bed_tick_after(b, 1000);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bed_test(bind_without_memory_fails_cleanly_or_resolves_later),
		bed_test(change_without_memory_leaves_the_flow_to_the_kernel_and_is_made_up_for),
	};

	return cmocka_run_group_tests_name("resolver_oom", tests, NULL, NULL);
}
