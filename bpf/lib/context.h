/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is the current task the one that sends, or was it only interrupted? Retransmits and corked data leave in softirqs, in
 * anybody's context.
 */
#ifndef KEYTRAIL_BPF_CONTEXT_H
#define KEYTRAIL_BPF_CONTEXT_H

#include "task.h"

/*
 * A TCP socket that a task owns is sent from that task's context only: softirqs find it owned and queue to its backlog
 * (net/ipv4/tcp_ipv4.c, tcp_v4_rcv; tcp_timer.c).
 */
static __always_inline bool context__is_sender(struct bpf_sock *sk, const bool fast)
{
	u64 address = 0;

	/* the verifier allows no arithmetic on a socket pointer: take it as a number from the stack */
	bpf_probe_read_kernel(&address, sizeof(address), &sk);
	return READ(fast, address, struct sock, sk_lock.owned) != 0;
}

#endif
