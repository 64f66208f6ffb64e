/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Part of wire.h: what only unix sockets have. Their cookies are numbers of our own, of 53 bits, as those of accepted MPTCP
 * sockets are.
 */
#ifndef SOCKLEAK_UNIX_WIRE_H
#define SOCKLEAK_UNIX_WIRE_H

#define SL_UNIX_PATH 108 /* sun_path, linux/un.h */

/* In a snapshot, and before the end of a process closes it: what a unix socket is bound or connected to. A path that begins
 * with a zero byte is an abstract one. */
struct sl_socket_named {
	struct sl_header header;
	__u64 cookie;
	__u64 peer; /* the cookie of the socket it is connected to; 0 = none, or not accepted yet */
	__u8 length; /* of `path`; 0 = not bound */
	__u8 peer_length;
	__u8 padding[6];
	char path[SL_UNIX_PATH];
	char peer_path[SL_UNIX_PATH];
};

#endif
