/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * What the kernel side keeps of a unix socket; user space sweeps the table.
 */
#ifndef SOCKLEAK_UNIX_TABLE_H
#define SOCKLEAK_UNIX_TABLE_H

#include "wire.h"

struct sl_unix_socket {
	__u64 born_ns;
	__u32 netns;
	__u32 look; /* the last look at the kernel's tables (sl_unix_looks) that found it */
	__u32 leaving; /* an ending process, and how many descriptors it has on the socket */
	__u32 descriptors;
	struct sl_uses uses;
};
SL_ASSERT_SIZE(sl_unix_socket, 64);

#endif
