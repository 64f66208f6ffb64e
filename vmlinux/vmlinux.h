/* SPDX-License-Identifier: GPL-2.0
 * The kernel's types for the target architecture. Generated files: see README.md. */
#if defined(__TARGET_ARCH_x86)
#include "x86_64/vmlinux.h"
#else
#error "no vmlinux.h for this architecture yet: see vmlinux/README.md"
#endif
