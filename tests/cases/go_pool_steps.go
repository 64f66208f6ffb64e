// INNOCENT: load in steps over one http.Transport with a pool. The pool grows with each step, then stays; each connection is used again
// in each round. Begins when a line comes on stdin; URL answers after 100 ms.
//
//	sockleak trace -p PID -d 24s    no LEAK, no SUSPECT of 0.50 or more
package main

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	steps     = 12
	rounds    = 5 // of each step
	perStep   = 5 // more requests at once
	poolLimit = 100
)

func get(client *http.Client, url string) {
	response, err := client.Get(url)
	if err != nil {
		return
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

func main() {
	url := os.Args[1]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: poolLimit, MaxIdleConns: 2 * poolLimit}}
	os.Stdin.Read(make([]byte, 1))
	for step := 1; step <= steps; step++ {
		for round := 0; round < rounds; round++ {
			var all sync.WaitGroup
			for i := 0; i < step*perStep; i++ {
				all.Add(1)
				go func() {
					defer all.Done()
					get(client, url)
				}()
			}
			all.Wait()
			time.Sleep(300 * time.Millisecond)
		}
	}
	select {}
}
