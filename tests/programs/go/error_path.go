// A client that leaks on an error path: when the backend refuses the request, openBackend returns early and forgets
// to close the connection it has just made. The backend is a goroutine of the same process and closes well.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
)

const (
	requests    = 20
	refuseEvery = 4
)

// A place in this file; here() notes the line it is called on, so the truth cannot drift from the source.
type place struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function"`
	Count    int    `json:"count"`
}

var opened, answered, closed, spawned place
var repaired bool
var goroutine int // that opens the connections, as the runtime numbers it

func (p *place) here() {
	var pcs [1]uintptr
	runtime.Callers(2, pcs[:])
	frame, _ := runtime.CallersFrames(pcs[:]).Next()
	p.File, p.Line, p.Function = frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line, frame.Function
	p.Count++
}

func dial(port int) (net.Conn, error) {
	opened.here(); return net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // on one line: the truth is the call's
}

func serveBackend(listener net.Listener, done chan<- bool) {
	for i := 0; i < requests; i++ {
		client, err := listener.Accept()
		request := make([]byte, 1)
		if err == nil {
			_, err = client.Read(request)
		}
		answer := "Y"
		if request[0] == 'R' {
			answer = "N"
		}
		if err == nil {
			_, err = client.Write([]byte(answer))
		}
		if err == nil {
			err = client.Close()
		}
		if err != nil {
			log.Fatal("backend: ", err)
		}
	}
	done <- true
}

type refused struct{}

func (refused) Error() string { return "refused" }

func openBackend(port int, request byte) (net.Conn, error) {
	c, err := dial(port)
	if err != nil {
		log.Fatal("dial: ", err)
	}
	answer := make([]byte, 1)
	if _, err := c.Write([]byte{request}); err != nil {
		log.Fatal("write: ", err)
	}
	answered.here(); _, err = c.Read(answer) // on one line, as above
	if err != nil {
		log.Fatal("read: ", err)
	}
	if answer[0] != 'Y' {
		if repaired {
			c.Close()
		}
		return nil, refused{} // the leak
	}
	return c, nil
}

func placeOrder(port, number int) bool {
	request := byte('O')
	if number%refuseEvery == 0 {
		request = 'R'
	}
	c, err := openBackend(port, request)
	if err != nil {
		return false
	}
	closed.here(); c.Close() // on one line, as above
	return true
}

func ownGoroutine() int {
	text, id := make([]byte, 64), 0
	fmt.Sscanf(string(text[:runtime.Stack(text, false)]), "goroutine %d ", &id)
	return id
}

func placeOrders(port int, result chan<- int) {
	count := 0
	goroutine = ownGoroutine()
	for i := 0; i < requests; i++ {
		if !placeOrder(port, i) {
			count++
		}
	}
	result <- count
}

func main() {
	truthPath := "/dev/stdout"
	for i := 1; i < len(os.Args); i++ {
		switch {
		case os.Args[i] == "--repaired":
			repaired = true
		case os.Args[i] == "--truth" && i+1 < len(os.Args):
			truthPath = os.Args[i+1]
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done, result := make(chan bool), make(chan int)
	go serveBackend(listener, done)
	spawned.here(); go placeOrders(listener.Addr().(*net.TCPAddr).Port, result) // on one line, as above
	leaked := <-result
	<-done
	listener.Close()
	if repaired {
		leaked = 0
	}
	text, _ := json.Marshal(map[string]any{
		"program": os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:], "leaked": leaked, "created": opened.Count,
		"origin": "connect", "created_at": opened, "closed_at": []place{closed}, "touched_at": answered, "goroutine_created_at": spawned,
		"goroutine": goroutine})
	if err := os.WriteFile(truthPath, append(text, '\n'), 0o666); err != nil {
		log.Fatal(err)
	}
}
