/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For the tests of targets alone: counts the calls of the functions that it is attached to. */
#include "lib/targets.h"

SEC("uprobe")
int uprobe__calls(void* ctx) {
  target__hit(ctx);
  return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
