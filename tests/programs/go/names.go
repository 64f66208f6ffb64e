// What the Go runtime itself says of this program's addresses: the unit tests compare. First come the
// file offset of a function and a stack with what is inlined there, as "function|file:line", innermost first; then, for every file offset on stdin (hexadecimal, one per
// line), the innermost function there in the same form, or "-".
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
)

var sink net.Conn // package net with its inlined and assembly functions

func show(pcs []uintptr, most int) string {
	var parts []string
	for frames := runtime.CallersFrames(pcs); len(parts) < most; {
		frame, more := frames.Next()
		if frame.Function != "" {
			parts = append(parts, fmt.Sprintf("%s|%s:%d", frame.Function, frame.File, frame.Line))
		}
		if !more {
			break
		}
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, " ")
}

func leaf(pcs []uintptr) int   { return runtime.Callers(1, pcs) }
func middle(pcs []uintptr) int { return 1 + leaf(pcs) }

//go:noinline
func outer(pcs []uintptr) int { return 2 + middle(pcs) }

func main() {
	if len(os.Args) > 1 {
		sink, _ = net.Dial("tcp", os.Args[1])
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	own, _ := os.Readlink("/proc/self/exe")
	var start, offset uint64
	for _, line := range strings.Split(string(maps), "\n") {
		if strings.HasSuffix(line, own) && strings.Contains(line, " r-xp ") {
			var end uint64
			var access string
			fmt.Sscanf(line, "%x-%x %s %x", &start, &end, &access, &offset)
			break
		}
	}
	pcs := make([]uintptr, 16)
	stack := show(pcs[:outer(pcs)-3], 3)
	frames := runtime.CallersFrames(pcs[2:])
	frame, _ := frames.Next()
	fmt.Printf("%x %s\n", uint64(frame.Entry)-start+offset, stack)

	out := bufio.NewWriter(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var at uint64
		fmt.Sscanf(in.Text(), "%x", &at)
		// CallersFrames takes return addresses.
		fmt.Fprintln(out, show([]uintptr{uintptr(start + at - offset + 1)}, 1))
	}
	out.Flush()
}
