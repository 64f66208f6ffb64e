// LEAK under check: a new http.Transport for each call, each with an idle connection in a pool that nobody uses again. Forty idle ones
// to one address, each used once, are no pool, although each one waits in net/http's.
//
//	sockleak check -- go_client_per_call URL    LEAK  at least 36 of 40 sockets never closed; exit status 1
package main

import (
	"io"
	"net/http"
	"os"
	"time"
)

func refresh(url string) {
	client := &http.Client{Transport: &http.Transport{}}
	if response, err := client.Get(url); err == nil { // opened here
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func main() {
	for i := 0; i < 40; i++ {
		refresh(os.Args[1])
		time.Sleep(150 * time.Millisecond)
	}
}
