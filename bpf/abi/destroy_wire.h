/* SPDX-License-Identifier: MIT OR GPL-2.0
 * What destroy.bpf.c and user space tell each other. */
#ifndef SOCKLEAK_DESTROY_WIRE_H
#define SOCKLEAK_DESTROY_WIRE_H

#ifdef __cplusplus
#include <linux/types.h>
#endif

#define SL_NOT_MET (-1) /* answers: 0 or an errno */
#define SL_CHANGED (-2)

struct sl_doomed {
	__s32 answer;
};

#endif
