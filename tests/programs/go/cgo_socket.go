// As error_path.go, but C code makes the connections, on the thread's own stack: the path to them goes through both
// languages.
package main

/*
#cgo CFLAGS: -O2 -g -fomit-frame-pointer
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static int opened_at, answered_at, closed_at;

// Returns -1 if the backend refused. Errors end in -2.
__attribute__((noipa)) static int open_backend(int port, char request, int repaired) {
	const struct sockaddr_in backend = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const int fd = (opened_at = __LINE__, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (fd < 0 || connect(fd, (const struct sockaddr*)&backend, sizeof backend) != 0) return -2;
	char answer = 0;
	if (write(fd, &request, 1) != 1 || (answered_at = __LINE__, read(fd, &answer, 1)) != 1) return -2;
	if (answer != 'Y') {
		if (repaired && close(fd) != 0) return -2;
		return -1; // the leak
	}
	return fd;
}

__attribute__((noipa)) static int close_backend(int fd) {
	const int failed = (closed_at = __LINE__, close(fd));
	return failed ? -1 : closed_at;
}

static int line_of(int what) {
	return what == 0 ? opened_at : what == 1 ? answered_at : closed_at;
}
*/
import "C"

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
)

const (
	requests    = 20
	refuseEvery = 4
)

func serveBackend(listener net.Listener, done chan<- bool) {
	for i := 0; i < requests; i++ {
		client, err := listener.Accept()
		request := make([]byte, 1)
		if err == nil {
			_, err = client.Read(request)
		}
		answer := []byte("Y")
		if request[0] == 'R' {
			answer = []byte("N")
		}
		if err == nil {
			_, err = client.Write(answer)
		}
		if err != nil || client.Close() != nil {
			log.Fatal("backend: ", err)
		}
	}
	done <- true
}

func placeOrder(port, number, repaired int) (bool, int) {
	request := 'O'
	if number%refuseEvery == 0 {
		request = 'R'
	}
	_, _, line, _ := runtime.Caller(0)
	fd := C.open_backend(C.int(port), C.char(request), C.int(repaired)) // one line below the place that was noted
	if fd == -2 {
		log.Fatal("open_backend")
	}
	return fd >= 0 && C.close_backend(fd) > 0, line + 1
}

func ownGoroutine() int {
	text, id := make([]byte, 64), 0
	fmt.Sscanf(string(text[:runtime.Stack(text, false)]), "goroutine %d ", &id)
	return id
}

func main() {
	truthPath, repaired := "/dev/stdout", 0
	for i := 1; i < len(os.Args); i++ {
		switch {
		case os.Args[i] == "--repaired":
			repaired = 1
		case os.Args[i] == "--truth" && i+1 < len(os.Args):
			truthPath = os.Args[i+1]
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done, result := make(chan bool), make(chan int)
	goroutine, called := 0, 0
	go serveBackend(listener, done)
	go func() {
		refused := 0
		goroutine = ownGoroutine()
		for i := 0; i < requests; i++ {
			ok, line := placeOrder(listener.Addr().(*net.TCPAddr).Port, i, repaired)
			called = line
			if !ok {
				refused++
			}
		}
		result <- refused
	}()
	leaked := <-result
	<-done
	listener.Close()
	if repaired != 0 {
		leaked = 0
	}
	at := func(function string, line C.int) map[string]any {
		return map[string]any{"file": "cgo_socket.go", "line": int(line), "function": function}
	}
	text, _ := json.Marshal(map[string]any{
		"leaked": leaked, "created": requests, "origin": "connect", "goroutine": goroutine,
		"created_at": at("open_backend", C.line_of(0)), "called_at": at("main.placeOrder", C.int(called)),
		"touched_at": at("open_backend", C.line_of(1)), "closed_at": at("close_backend", C.line_of(2))})
	if err := os.WriteFile(truthPath, append(text, '\n'), 0o666); err != nil {
		log.Fatal(err)
	}
}
