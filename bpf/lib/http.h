/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A plain HTTP request reduced to what may leave: "METHOD path HTTP/1.1", LF, the Host header's value. Cut away: the query, the fragment,
 * path parameters (from ';'), credentials before '@' in an absolute URL, every other header. State in scratch memory, one byte per step.
 */
#ifndef KEYTRAIL_BPF_HTTP_H
#define KEYTRAIL_BPF_HTTP_H

#include "maps.h"

#define HTTP_LINE_MAX 1024 /* bytes of request line and Host that leave */
#define HTTP_SCAN_MAX 2048 /* bytes of the segment that are looked at */

#define HTTP_METHOD 0
#define HTTP_TARGET 1
#define HTTP_CUT 2      /* behind '?', '#' or ';': dropped up to the space */
#define HTTP_REST 3     /* protocol version, to the line's end */
#define HTTP_LINE_START 4
#define HTTP_OTHER 5    /* some other header */
#define HTTP_HOST 6
#define HTTP_DONE 7

static __always_inline void http__put(struct scratch *s, u8 c)
{
	u32 at = s->off;

	if (at < s->limit)
		s->buf[at & (SCRATCH_BYTES - 1)] = c;
	else
		s->truncated = 1;
	s->off = at + 1;
}

/* name_len counts matched letters of "host:"; items remembers where the target began in the output; action counts '/' of "scheme://". */
static __always_inline void http__byte(struct scratch *s, u8 c)
{
	static const char kHost[] = "host:";
	u32 state = s->index;

	switch (state) {
	case HTTP_METHOD:
		http__put(s, c);
		if (c == ' ') {
			s->index = HTTP_TARGET;
			s->items = s->off;
			s->action = 0;
		}
		break;
	case HTTP_TARGET:
		if (c == '?' || c == '#' || c == ';') {
			s->index = HTTP_CUT;
			break;
		}
		/* user:password@ of an absolute URL: what was written since "://" is taken back */
		if (c == '@' && s->action == 2) {
			s->off = s->items;
			break;
		}
		if (c == ' ')
			s->index = HTTP_REST;
		http__put(s, c);
		if (c == '/') {
			s->action++;
			if (s->action == 2 && s->flag_pending == ':')
				s->items = s->off; /* the authority begins */
			else if (s->action == 1 && s->flag_kind == ':')
				s->flag_pending = ':';
		}
		s->flag_kind = c;
		break;
	case HTTP_CUT:
		if (c == ' ') {
			http__put(s, c);
			s->index = HTTP_REST;
		}
		break;
	case HTTP_REST:
		if (c == '\n')
			s->index = HTTP_LINE_START, s->name_len = 0;
		else if (c != '\r')
			http__put(s, c);
		break;
	case HTTP_LINE_START:
		if (c == '\n') {
			s->index = HTTP_DONE;
			break;
		}
		if (c == '\r')
			break;
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c != (u8)kHost[s->name_len & 3 ? s->name_len & 7 : s->name_len & 7]) {
			s->index = HTTP_OTHER;
			break;
		}
		s->name_len++;
		if (s->name_len == sizeof(kHost) - 1) {
			s->index = HTTP_HOST;
			http__put(s, '\n');
		}
		break;
	case HTTP_OTHER:
		if (c == '\n')
			s->index = HTTP_LINE_START, s->name_len = 0;
		break;
	case HTTP_HOST:
		if (c == '\n')
			s->index = HTTP_DONE;
		else if (c != '\r' && c != ' ' && c != '\t')
			http__put(s, c);
		break;
	}
}

#endif
