// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the BPF side takes the ABI for: never loaded, only its BTF is read. */
#include "vmlinux.h"

#include "config.h"
#include "go_wire.h"
#include "java_wire.h"
#include "python_wire.h"
#include "scope_wire.h"
#include "unix_table.h"
#include "wire.h"

#include "layout.h"

#define ONE_GLOBAL(type) struct type abi_##type;
#define NO_GLOBAL(type, member)
SL_ABI_LAYOUT(ONE_GLOBAL, NO_GLOBAL)
