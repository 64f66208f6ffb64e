// A client that forgets resp.Body.Close() where the answer says that something went wrong. Package net/http dials in
// goroutines of its own, so the caller is only to be found among their ancestors. The first argument is the URL of a
// backend that answers /refused with an error and /together when so many have asked. With --pool nothing is forgotten.
// However it goes, connections idle in the transport's pool when the program ends.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
)

const (
	requests    = 16
	refuseEvery = 4
	together    = 6
)

// A place in this file; here() notes the line it is called on, so the truth cannot drift from the source.
type place struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function"`
	Count    int    `json:"count"`
}

var called place
var repaired bool

func (p *place) here() {
	var pcs [1]uintptr
	runtime.Callers(2, pcs[:])
	frame, _ := runtime.CallersFrames(pcs[:]).Next()
	p.File, p.Line, p.Function = frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line, frame.Function
	p.Count++
}

func ownGoroutine() int {
	text, id := make([]byte, 64), 0
	fmt.Sscanf(string(text[:runtime.Stack(text, false)]), "goroutine %d ", &id)
	return id
}

// A connection with a body that was neither read nor closed cannot be used again: the next request makes another.
func fetch(client *http.Client, url string) bool {
	called.here(); response, err := client.Get(url) // on one line: the truth is the call's
	if err != nil {
		log.Fatal("get: ", err)
	}
	if response.StatusCode != http.StatusOK && !repaired {
		return false // the leak
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		log.Fatal("read: ", err)
	}
	return response.StatusCode == http.StatusOK
}

func fetchAll(client *http.Client, url string) int {
	refused := 0
	for i := 0; i < requests; i++ {
		path := "/"
		if i%refuseEvery == 0 {
			path = "/refused"
		}
		if !fetch(client, url+path) {
			refused++
		}
	}
	return refused
}

func fetchTogether(client *http.Client, url string) {
	var all sync.WaitGroup
	for i := 0; i < together; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			response, err := client.Get(url + "/together")
			if err != nil {
				log.Fatal("get: ", err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}()
	}
	all.Wait()
}

// Returns when so many connections wait in the pool for what comes next.
func awaitIdle(wanted int) {
	text := make([]byte, 1<<20)
	for idle := -1; idle != wanted; runtime.Gosched() {
		idle = 0
		for _, goroutine := range bytes.Split(text[:runtime.Stack(text, true)], []byte("\n\n")) {
			if bytes.Contains(goroutine, []byte("[IO wait")) && bytes.Contains(goroutine, []byte("persistConn).readLoop(")) {
				idle++
			}
		}
	}
}

func main() {
	truthPath, pool := "/dev/stdout", false
	for i := 2; i < len(os.Args); i++ {
		switch {
		case os.Args[i] == "--repaired":
			repaired = true
		case os.Args[i] == "--pool":
			pool = true
		case os.Args[i] == "--truth" && i+1 < len(os.Args):
			truthPath = os.Args[i+1]
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	leaked, caller, result := 0, 0, make(chan int)
	if pool {
		fetchTogether(client, os.Args[1])
		awaitIdle(together)
	} else {
		go func() {
			caller = ownGoroutine()
			result <- fetchAll(client, os.Args[1])
		}()
		if leaked = <-result; repaired {
			leaked = 0
		}
		awaitIdle(1)
	}
	text, _ := json.Marshal(map[string]any{
		"program": os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:], "leaked": leaked, "origin": "connect",
		"called_at": called, "goroutine": caller})
	if err := os.WriteFile(truthPath, append(text, '\n'), 0o666); err != nil {
		log.Fatal(err)
	}
}
