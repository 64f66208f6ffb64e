/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Processes that become targets while the programs run. Rules as in wire.h; these records are never recorded, so they have
 * no version.
 */
#ifndef SOCKLEAK_SCOPE_WIRE_H
#define SOCKLEAK_SCOPE_WIRE_H

#include "wire.h"

#define SL_PROCESS_JOINED 26

/* The current process is in scope and was not known. Comes through the ring of stacks, before the first that it makes. */
struct sl_process_joined {
	struct sl_header header;
	__u32 asid;
	__u32 padding;
};
SL_ASSERT_SIZE(sl_process_joined, 40);

#endif
