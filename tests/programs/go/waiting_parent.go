// A goroutine makes connections and keeps them while the one that has created it waits for its end. It begins when a byte
// comes on stdin, tells on stdout when all are made, and ends with stdin. The first argument is the address to connect to.
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

const connections = 5

var kept []net.Conn

func connect(address string, truth []byte, ended chan<- bool) {
	signal := make([]byte, 1)
	os.Stdin.Read(signal)
	for i := 0; i < connections; i++ {
		c, err := net.Dial("tcp", address)
		if err != nil {
			log.Fatal("dial: ", err)
		}
		kept = append(kept, c)
	}
	fmt.Println(string(truth))
	os.Stdin.Read(signal)
	ended <- true
}

func ownGoroutine() int {
	text, id := make([]byte, 64), 0
	fmt.Sscanf(string(text[:runtime.Stack(text, false)]), "goroutine %d ", &id)
	return id
}

func parent(address string, done chan<- bool) {
	ended := make(chan bool)
	_, file, line, _ := runtime.Caller(0)
	truth, _ := json.Marshal(map[string]any{"goroutine": ownGoroutine(), "line": line + 4, "function": "main.parent",
		"file": file[strings.LastIndexByte(file, '/')+1:], "go": runtime.Version()})
	go connect(address, truth, ended)
	<-ended // where it waits, four lines below the place that was noted
	done <- true
}

func main() {
	done := make(chan bool)
	go parent(os.Args[1], done)
	<-done
}
