/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All hook families as one translation unit. Compiled apart and linked they could not share bpf_rdonly_cast: libbpf 1.1
 * refuses to link two objects that name the same kernel function. The loader loads what the plan names; what else is in
 * here costs nothing.
 */
#include "exec.bpf.c"
#include "open.bpf.c"
#include "memory.bpf.c"
#include "connect.bpf.c"
#include "name.bpf.c"
#include "lifetime.bpf.c"

char _license[] SEC("license") = "Dual BSD/GPL";
