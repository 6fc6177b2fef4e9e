/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet that leaves or arrives holds: where its transport header begins, its payload, records of TLS. */
#ifndef KEYTRAIL_BPF_PACKET_H
#define KEYTRAIL_BPF_PACKET_H

#include "socket.h"

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_IPV6 0x86DD

/* Where the transport header begins and which one it is; 0 for fragments, extension headers and what is no IP. */
static __always_inline u32 packet__transport(struct __sk_buff *skb, u8 *protocol)
{
	u8 head[10];

	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return 0;
	if (skb->protocol == bpf_htons(ETHERTYPE_IP)) {
		if ((head[6] & 0x1f) || head[7]) /* a later fragment */
			return 0;
		*protocol = head[9];
		return (head[0] & 15) * 4;
	}
	if (skb->protocol != bpf_htons(ETHERTYPE_IPV6))
		return 0;
	*protocol = head[6];
	return 40;
}

#define TCP_HEAD 20 /* the least of its header; where in it the header's length is: */
#define TCP_HEAD_LEN 12

/*
 * Is it seen at once that a packet is a TCP segment without data (SYN, ACK, RST)? By loads from the packet itself,
 * without a call. What is not in its linear part, or is built otherwise, counts as one with data.
 */
static __always_inline bool packet__is_bare(struct __sk_buff *skb)
{
	u8 *data = (u8 *)(long)skb->data, *end = (u8 *)(long)skb->data_end;
	u32 head;

	if (skb->protocol == bpf_htons(ETHERTYPE_IP)) {
		head = 20;
		if (data + 20 + TCP_HEAD > end || data[0] != 0x45 || data[9] != IPPROTO_TCP)
			return false;
	} else {
		head = 40;
		if (skb->protocol != bpf_htons(ETHERTYPE_IPV6) || data + 40 + TCP_HEAD > end || data[6] != IPPROTO_TCP)
			return false;
		data += 20;
	}
	return skb->len <= head + (data[20 + TCP_HEAD_LEN] >> 4) * 4;
}

/* Copies 1 to mask + 1 bytes. 6.1 forgets a test against zero, so the size is made one that cannot be. */
static __always_inline bool packet__copy(struct __sk_buff *skb, u32 at, void *to, u32 size, const u32 mask)
{
	if (!size)
		return false;
	asm volatile("%0 -= 1; %0 &= %1; %0 += 1" : "+r"(size) : "ri"(mask));
	return !bpf_skb_load_bytes(skb, at, to, size);
}

/*
 * TLS records: types, and lengths that say what is inside although it is encrypted (TLS 1.3: a type and 16 bytes of
 * tag behind it).
 */
#define TLS_CHANGE_CIPHER 0x14
#define TLS_HANDSHAKE 0x16
#define TLS_DATA 0x17
#define TLS_RECORDS_AT_ONCE 8

static __always_inline bool record__is_handshake(const u8 *head)
{
	u32 len = head[3] << 8 | head[4];

	if (head[0] == TLS_DATA) /* an alert, an empty Certificate, a Finished of SHA-256 or SHA-384 */
		return len <= 19 || len == 25 || len == 53 || len == 69;
	return head[0] >= TLS_CHANGE_CIPHER && head[0] <= TLS_HANDSHAKE;
}

/* What of the handshake's last record is still to come. */
struct record_walk {
	u32 left;
};

/* Does a segment whose data begins at `at` have bytes beyond the handshake? What is no record counts as such. */
__weak __noinline int segment__is_beyond(struct __sk_buff *skb, u32 at, struct record_walk *walk)
{
	u32 left;
	u8 head[5];
	int i;

	if (!walk)
		return true;
	left = walk->left;

#pragma clang loop unroll(disable)
	for (i = 0; i < TLS_RECORDS_AT_ONCE; i++) {
		if (at + left >= skb->len) {
			walk->left = at + left - skb->len;
			return false;
		}
		at += left;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) || !record__is_handshake(head))
			return true;
		left = sizeof(head) + (head[3] << 8 | head[4]);
	}
	return true;
}

#endif
