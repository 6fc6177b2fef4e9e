/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * First requests that come in pieces: several writes, segments or TLS records. What a connection said so far is kept in
 * a slot until it is whole, and never leaves as it is: a CONNECT and SOCKS carry passwords. Bounded: so many slots, so
 * many bytes in each, and one that is older than ten seconds goes to whoever needs it. Only what is not whole in its
 * first segment comes here.
 */
#ifndef KEYTRAIL_BPF_PIECES_H
#define KEYTRAIL_BPF_PIECES_H

#include "packet.h"

#define PIECES_SLOTS 128
#define PIECES_TRIES 16
#define PIECES_TAKING (~0ULL) /* a slot's cookie while it changes hands */
#define PIECES_STEP 2048
#define PIECES_OLD_NS 10000000000ULL
#define PIECES_RECORDS 16 /* TLS records that are looked at in one call, */
#define PIECES_CALLS 256  /* and calls */
#define SOCKS_TEXT_MAX 256

enum {
	PIECES_MORE,  /* what is there may become anything below */
	PIECES_AGAIN, /* there is more to look at */
	PIECES_OTHER,
	PIECES_TLS,
	PIECES_TEXT, /* HTTP or SSH, or what begins like them */
	PIECES_SOCKS,
};

struct pieces {
	u64 cookie; /* of the connection, 0: free */
	u64 since_ns;
	u32 len;        /* bytes in data */
	u32 from;       /* where what is read now begins: behind the request for a tunnel */
	u32 end;        /* where it ends */
	u32 walk;       /* TLS: the record that is looked at next */
	u32 hello_seen; /* TLS: bytes of the handshake before that */
	u8 hello[4];    /* TLS: the first of them, type and length */
	u32 name_at;    /* SOCKS: address or name */
	u32 name_len;
	u32 port_at;
	u32 kind;
	u8 data[KT_PAYLOAD_MAX + 1 + PIECES_STEP]; /* offsets are masked with KT_PAYLOAD_MAX: room behind the last */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PIECES_SLOTS);
	__type(key, u32);
	__type(value, struct pieces);
} pieces_slots __weak SEC(".maps");

static __always_inline u32 pieces__byte(struct pieces *p, u32 at)
{
	return p->data[at & KT_PAYLOAD_MAX];
}

/*
 * The slot of this connection; with `take` a new one where it has none. -1: all that it may have are in use. Functions
 * of their own, here and below, so that the verifier follows each once.
 */
__weak __noinline int pieces__find(u64 cookie, u32 take)
{
	u64 now = bpf_ktime_get_boot_ns(), holder;
	struct pieces *p;
	u32 i, slot;

#pragma clang loop unroll(disable)
	for (i = 0; i < PIECES_TRIES; i++) {
		slot = (cookie + i) & (PIECES_SLOTS - 1);
		p = bpf_map_lookup_elem(&pieces_slots, &slot);
		if (!p)
			return -1;
		holder = p->cookie;
		if (!take && holder == cookie)
			return slot;
		if (!take || holder == PIECES_TAKING || (holder && now - p->since_ns < PIECES_OLD_NS))
			continue;
		if (__sync_val_compare_and_swap(&p->cookie, holder, PIECES_TAKING) != holder)
			continue;
		p->since_ns = now;
		p->len = p->from = p->walk = p->hello_seen = 0;
		*(volatile u64 *)&p->cookie = cookie;
		return slot;
	}
	return -1;
}

/* Still this connection's? Another may have taken it after ten seconds. */
static __always_inline bool pieces__is_of(struct pieces *p, u64 cookie)
{
	return *(volatile u64 *)&p->cookie == cookie;
}

static __always_inline void pieces__free(struct pieces *p, u64 cookie)
{
	__sync_val_compare_and_swap(&p->cookie, cookie, 0);
}

/* What was read so far is done with: something new begins behind it. */
static __always_inline void pieces__next(struct pieces *p)
{
	p->from = p->walk = p->end;
	p->hello_seen = 0;
}

/* Copies as much as there is room for; returns the bytes that were left over. */
__weak __noinline int pieces__append(struct __sk_buff *skb, u32 slot, u32 at, u32 len)
{
	struct pieces *p = bpf_map_lookup_elem(&pieces_slots, &slot);
	u32 i, n, off;

	if (!p)
		return len;
#pragma clang loop unroll(disable)
	for (i = 0; i <= KT_PAYLOAD_MAX / PIECES_STEP; i++) {
		off = p->len & KT_PAYLOAD_MAX;
		n = KT_PAYLOAD_MAX - off;
		if (n > len)
			n = len;
		if (n > PIECES_STEP)
			n = PIECES_STEP;
		if (!packet__copy(skb, at, p->data + off, n, PIECES_STEP - 1))
			break;
		p->len = off + n;
		at += n;
		len -= n;
	}
	return len;
}

/* Type and length of the handshake, from the record of `len` bytes whose header is at `at`. */
__weak __noinline int hello__head(u32 slot, u32 at, u32 len)
{
	struct pieces *p = bpf_map_lookup_elem(&pieces_slots, &slot);
	u32 i, to;

	if (!p)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < 4; i++) {
		to = p->hello_seen + i;
		if (i >= len || to >= 4)
			break;
		BOUNDED(to, 3);
		p->hello[to] = pieces__byte(p, at + 5 + i);
	}
	return 0;
}

/* A ClientHello over one or more records: whole with the record that has its last byte. */
static __always_inline u32 hello__judge(struct pieces *p, u32 slot)
{
	u32 i, at, len, size;

#pragma clang loop unroll(disable)
	for (i = 0; i < PIECES_RECORDS; i++) {
		at = p->walk;
		if (at + 2 > p->len)
			return PIECES_MORE;
		if (pieces__byte(p, at) != TLS_HANDSHAKE || pieces__byte(p, at + 1) != 3) {
			p->end = at; /* cut: something else follows its first records */
			return p->hello_seen ? PIECES_TLS : PIECES_OTHER;
		}
		if (at + 5 > p->len)
			return PIECES_MORE;
		len = pieces__byte(p, at + 3) << 8 | pieces__byte(p, at + 4);
		if (at + 5 + len > p->len)
			return PIECES_MORE;
		if (p->hello_seen < 4)
			hello__head(slot, at, len);
		p->hello_seen += len;
		p->walk = at + 5 + len;
		if (p->hello_seen && p->hello[0] != 1) /* no ClientHello */
			return PIECES_OTHER;
		size = p->hello[1] << 16 | p->hello[2] << 8 | p->hello[3];
		if (p->hello_seen >= 4 && p->hello_seen - 4 >= size) {
			p->end = p->walk;
			return PIECES_TLS;
		}
	}
	return PIECES_AGAIN;
}

/* RFC 1928: greeting, with a password RFC 1929, request. They follow each other without what the proxy answers. */
static __always_inline u32 socks5__judge(struct pieces *p)
{
	u32 at = p->from, len = p->len, size;

	if (at + 2 > len)
		return PIECES_MORE;
	if (!pieces__byte(p, at + 1))
		return PIECES_OTHER;
	at += 2 + pieces__byte(p, at + 1);
	if (at >= len)
		return PIECES_MORE;
	if (pieces__byte(p, at) == 1) {
		at += 2 + pieces__byte(p, at + 1);
		if (at >= len)
			return PIECES_MORE;
		at += 1 + pieces__byte(p, at);
		if (at >= len)
			return PIECES_MORE;
	}
	if (pieces__byte(p, at) != 5)
		return PIECES_OTHER;
	if (at + 5 > len)
		return PIECES_MORE;
	p->kind = pieces__byte(p, at + 3);
	if (pieces__byte(p, at + 1) != 1 || pieces__byte(p, at + 2)) /* only CONNECT */
		return PIECES_OTHER;
	p->name_at = at + 4;
	if (p->kind == KT_SOCKS_NAME) {
		p->name_at++;
		size = pieces__byte(p, at + 4);
	} else if (p->kind == KT_SOCKS_V4 || p->kind == KT_SOCKS_V6) {
		size = p->kind == KT_SOCKS_V4 ? 4 : 16;
	} else {
		return PIECES_OTHER;
	}
	p->name_len = size;
	p->port_at = p->name_at + size;
	p->end = p->port_at + 2;
	return p->end > len ? PIECES_MORE : PIECES_SOCKS;
}

/* Where a text that begins at `at` has its NUL; the end of what is there when it has none (yet). */
__weak __noinline int socks4__text_end(u32 slot, u32 at)
{
	struct pieces *p = bpf_map_lookup_elem(&pieces_slots, &slot);
	u32 i;

	if (!p)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < SOCKS_TEXT_MAX; i++) {
		if (at + i >= p->len)
			return p->len;
		if (!pieces__byte(p, at + i))
			return at + i;
	}
	return at + i;
}

/* SOCKS4 and 4a: an address of 0.0.0.x says that a name follows the user's. */
static __always_inline u32 socks4__judge(struct pieces *p, u32 slot)
{
	u32 at = p->from, user_end, end;

	if (at + 2 > p->len)
		return PIECES_MORE;
	if (pieces__byte(p, at + 1) != 1)
		return PIECES_OTHER;
	if (at + 9 > p->len)
		return PIECES_MORE;
	user_end = end = socks4__text_end(slot, at + 8);
	p->kind = KT_SOCKS_V4;
	p->port_at = at + 2;
	p->name_at = at + 4;
	p->name_len = 4;
	if (!pieces__byte(p, at + 4) && !pieces__byte(p, at + 5) && !pieces__byte(p, at + 6) &&
	    pieces__byte(p, at + 7)) {
		end = socks4__text_end(slot, user_end + 1);
		p->kind = KT_SOCKS_NAME;
		p->name_at = user_end + 1;
		p->name_len = end > user_end + 1 ? end - user_end - 1 : 0;
	}
	p->end = end + 1;
	if (end >= p->len)
		return PIECES_MORE;
	return pieces__byte(p, user_end) || pieces__byte(p, end) ? PIECES_OTHER : PIECES_SOCKS;
}

/* What the slot's bytes are. */
__weak __noinline int pieces__judge_some(u32 slot)
{
	struct pieces *p = bpf_map_lookup_elem(&pieces_slots, &slot);
	u32 first;

	if (!p)
		return PIECES_OTHER;
	if (p->from >= p->len)
		return PIECES_MORE;
	first = pieces__byte(p, p->from);
	if (first == TLS_HANDSHAKE)
		return hello__judge(p, slot);
	if (first == 5)
		return socks5__judge(p);
	if (first == 4)
		return socks4__judge(p, slot);
	return first >= 'A' && first <= 'Z' ? PIECES_TEXT : PIECES_OTHER;
}

__weak __noinline int pieces__judge(u32 slot)
{
	int i, what;

#pragma clang loop unroll(disable)
	for (i = 0; i < PIECES_CALLS; i++) {
		what = pieces__judge_some(slot);
		if (what != PIECES_AGAIN)
			return what;
	}
	return PIECES_OTHER;
}

#endif
