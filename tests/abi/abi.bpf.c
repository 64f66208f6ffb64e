// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the BPF side takes the ABI for: never loaded, only its BTF is read. */
#include "vmlinux.h"

#include "abi/config.h"
#include "abi/go_wire.h"
#include "abi/java_wire.h"
#include "abi/python_wire.h"
#include "abi/scope_wire.h"
#include "abi/unix_table.h"
#include "abi/wire.h"

#include "layout.h"

#define ONE_GLOBAL(type) struct type abi_##type;
#define NO_GLOBAL(type, member)
SL_ABI_LAYOUT(ONE_GLOBAL, NO_GLOBAL)
