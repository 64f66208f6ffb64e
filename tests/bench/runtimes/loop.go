// socket() + close(), os.Args[1] times, os.Args[2] frames below main: what bench_runtimes.py runs.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

//go:noinline
func deeper(depth, count int) int {
	if depth > 0 {
		return deeper(depth-1, count) + 1
	}
	for i := 0; i < count; i++ {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			panic(err)
		}
		syscall.Close(fd)
	}
	return 0
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	depth, _ := strconv.Atoi(os.Args[2])
	fmt.Println("ready")
	for signal := make([]byte, 1); ; {
		if n, _ := os.Stdin.Read(signal); n != 1 {
			return
		}
		begin := time.Now()
		deeper(depth, count)
		fmt.Println(float64(time.Since(begin).Nanoseconds()) / float64(count))
	}
}
