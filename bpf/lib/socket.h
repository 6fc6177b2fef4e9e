/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is remembered of a client's socket, in socket storage, and its payload byte counts. */
#ifndef KEYTRAIL_BPF_SOCKET_H
#define KEYTRAIL_BPF_SOCKET_H

#include "task.h"

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define DNS_PORT 53
#define TCP_SYN 2 /* of the header's flags */
#define TCP_STATE_ESTABLISHED 1
#define TCP_STATE_FIN_WAIT1 4
#define TCP_STATE_FIN_WAIT2 5
#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_CLOSE 7
#define TCP_STATE_CLOSE_WAIT 8
#define TCP_STATE_LAST_ACK 9
#define TCP_STATE_LISTEN 10
#define TCP_STATE_CLOSING 11
#define SOCK_DONE_BIT 1 /* enum sock_flags: the peer's FIN came */

#define SOCKET_CONNECTING 1 /* or connected: what its TCP state says is not kept here too */
#define SOCKET_OPEN 2       /* it was connected before the agent came */
#define SOCKET_OVER 3
#define SOCKET_ANSWERS 4 /* UDP that received before it sent: a server's */

#define PAYLOAD_SEEN 1
#define PAYLOAD_HANDSHAKE 2 /* a ClientHello left, and nothing beyond the handshake */
#define PAYLOAD_PIECES 3    /* what left is not whole: pieces.h has it */
#define PAYLOAD_PLAIN 4     /* of no protocol that is read, but a ClientHello may still come */

struct socket_state {
	struct identity owner; /* who connected */
	u64 cgroup_id;
	u64 cookie;
	u32 phase;
	u32 payload_seen;
	u32 generation;  /* of the last sweep that sent it */
	u32 record_left; /* bytes that the TLS record at the end of the last segment still lacks */
	u32 looked;      /* segments that were not the last word: asked for TLS or a tunnel, or were plain */
	u32 next_seq;    /* TCP sequence number behind what was looked at */
	u32 in_sequence; /* next_seq is known */
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} sockets __weak SEC(".maps");

/* Payload only. bytes_acked counts the SYN, and like bytes_received the FIN (RFC 4898 counts sequence numbers): the
 * socket's `flags` say whether that came. A type that the verifier knows: its members are loaded without a call. */
static __always_inline void socket__bytes(struct sock *sk, unsigned long flags, u64 *sent, u64 *received)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	u64 acked, out, in;

	if (!tp)
		return;
	acked = tp->bytes_acked;
	out = tp->bytes_sent - tp->bytes_retrans;
	in = tp->bytes_received;
	acked = acked ? acked - 1 : 0;
	*sent = acked < out ? acked : out;
	*received = in && (flags >> SOCK_DONE_BIT) & 1 ? in - 1 : in;
}

#endif
