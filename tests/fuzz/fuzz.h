/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz - what every fuzz target defines: libFuzzer calls it, and so does replay.c.
 */
#ifndef TP_TESTS_FUZZ_H
#define TP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** Once, before the first input; a target need not have it.  @return 0 */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

/** Try one input.  @return 0; a fault is a crash */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
