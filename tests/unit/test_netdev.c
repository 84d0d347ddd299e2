/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of network interfaces. */
#include "io/netdev.h"

#include "../lab.h"

static void queues_are_counted(void **state)
{
	(void)state;
	lab_run("ip link add wide numrxqueues 4 numtxqueues 4 type veth peer name narrow "
		"numrxqueues 1 numtxqueues 1");
	assert_int_equal(tp_if_queues("wide"), 4);
	assert_int_equal(tp_if_queues("narrow"), 1);
	assert_int_equal(tp_if_queues("lo"), 1);
	assert_int_equal(tp_if_queues("nosuch"), 0);
	lab_run("ip link del wide");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_are_counted),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests_name("netdev", tests, NULL, NULL);
}
