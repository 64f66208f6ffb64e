// The corpus' Go programs: one function per scenario. What is shared with the other languages: see frame.h.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

var (
	seed              = flag.Int64("seed", 1, "")
	duration          = flag.Float64("duration", 30, "")
	shape             = flag.String("shape", "steady", "")
	readyFD           = flag.Int("ready-fd", -1, "")
	truthPath         = flag.String("truth", "", "")
	control           = flag.Bool("control", false, "")
	peer              = "127.0.0.1:" + os.Getenv("PEER_PORT")
	refusing          = "127.0.0.1:" + os.Getenv("PEER_REFUSED")
	chance            *rand.Rand
	rate              int
	burst             int
	period, stopAfter float64

	lock    sync.Mutex
	leaks   int
	truth   *os.File
	name    string
	began   time.Time
	started = make(chan struct{})
	stopped bool
	done    int
)

func draw(low, high int) int {
	if high < low {
		high = low
	}
	return low + chance.Intn(high-low+1)
}
func oneIn(n int) bool { return chance.Intn(n) == 0 }

func leaked(sockets int) {
	lock.Lock()
	defer lock.Unlock()
	leaks += sockets
	if truth != nil {
		truth.WriteAt([]byte(fmt.Sprintf("{\"scenario\":%q,\"shape\":%q,\"leaked\":%8d}\n", name, *shape, leaks)), 0)
	}
}

func start() {
	began = time.Now()
	close(started)
}

// Says that the load may begin, and listens for commands.
func ready(port int) {
	if *readyFD >= 0 {
		file := os.NewFile(uintptr(*readyFD), "ready")
		fmt.Fprintf(file, "%d %d\n", port, os.Getpid())
		file.Close()
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		os.Exit(0)
	}()
	if !*control {
		start()
		return
	}
	go func() {
		words := bufio.NewScanner(os.Stdin)
		for words.Scan() {
			switch words.Text() {
			case "go":
				start()
			case "stop":
				stopped = true
			}
		}
		os.Exit(0)
	}()
}

func elapsed() float64 { return time.Since(began).Seconds() }

func level() int {
	if *shape != "stepped" {
		return 2
	}
	step := int(4 * elapsed() / *duration)
	if step > 3 {
		step = 3
	}
	return step + 1
}

func gap() float64 {
	jitter := 0.7 + 0.6*chance.Float64()
	switch *shape {
	case "bursty":
		if done%burst != 0 {
			return 0.02
		}
		return period * jitter
	case "stepped":
		return jitter * 2 / float64(rate*level())
	}
	return jitter / float64(rate)
}

func operations(operation func()) {
	ready(0)
	<-started
	limit := *duration
	if *control {
		limit += 150
	}
	for elapsed() < limit {
		if stopped || (*shape == "stops" && elapsed() > stopAfter) {
			time.Sleep(100 * time.Millisecond) // the load is over, the program lives on
			continue
		}
		done++
		operation()
		time.Sleep(time.Duration(gap() * 1e9))
	}
}

func ask(conn net.Conn, request string) error {
	if _, err := io.WriteString(conn, request+"\n"); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

func get(client *http.Client, path string) {
	answer, err := client.Get("http://" + peer + path)
	if err == nil {
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

func serve(handle func(net.Conn)) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ready(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept() // OPENS accept_goroutine chat
		if err == nil {
			go handle(conn)
		}
	}
}

var kept []interface{}

func keep(one interface{}) {
	lock.Lock()
	kept = append(kept, one)
	lock.Unlock()
}

var scenarios = map[string]func(){
	// --- leaks ---
	"client_per_call": func() {
		operations(func() {
			if oneIn(3) {
				client := &http.Client{Transport: &http.Transport{}}
				get(client, "/ok")
				leaked(1)
			}
		})
	},
	"body_not_closed": func() {
		client, n := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}, draw(3, 8)
		operations(func() {
			if !oneIn(n) {
				get(client, "/ok")
			} else if answer, err := client.Get("http://" + peer + "/big/100000"); err == nil {
				keep(answer) // the status was all that mattered
				leaked(1)
			}
		})
	},
	"dial_forgotten": func() {
		n := draw(3, 10)
		operations(func() {
			conn, err := net.Dial("tcp", peer) // OPENS dial_forgotten
			if err != nil {
				return
			}
			if oneIn(n) {
				ask(conn, "bye")
				io.Copy(io.Discard, conn) // to the end, and no Close()
				keep(conn)
				leaked(1)
				return
			}
			ask(conn, "echo")
			conn.Close()
		})
	},
	"accept_goroutine": func() {
		serve(func(conn net.Conn) {
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				io.WriteString(conn, "ok\n")
				if lines.Text() == "bad" {
					keep(conn)
					leaked(1)
					return // no defer conn.Close()
				}
			}
			conn.Close()
		})
	},
	"udp_query": func() {
		n := draw(2, 6)
		operations(func() {
			conn, err := net.Dial("udp", peer) // OPENS udp_query
			if err != nil {
				return
			}
			if oneIn(n) {
				keep(conn) // timed out: forgotten
				leaked(1)
				return
			}
			ask(conn, "echo")
			conn.Close()
		})
	},
	"unix_client_per_call": func() { // as clients of a container engine do
		operations(func() {
			if !oneIn(4) {
				return
			}
			conn, err := net.Dial("unix", os.Getenv("PEER_UNIX")) // OPENS unix_client_per_call
			if err == nil {
				ask(conn, "echo")
				keep(conn)
				leaked(1)
			}
		})
	},
	// --- innocent ---
	"transport_pool": func() {
		client, most := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, MaxIdleConns: 200}}, draw(3, 8)
		operations(func() {
			if oneIn(4) {
				for i := draw(1, most*level()/2); i > 0; i-- {
					go get(client, fmt.Sprintf("/slow/%d", 60+i%100))
				}
			}
		})
	},
	"default_client_exit": func() { operations(func() { get(http.DefaultClient, "/ok") }) },
	"chat": func() {
		serve(func(conn net.Conn) {
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				io.WriteString(conn, "ok\n")
			}
			conn.Close()
		})
	},
	"worker_connections": func() { // each goroutine has one for as long as it lives
		most := draw(8, 25)
		operations(func() {
			if most == 0 || !oneIn(5) {
				return
			}
			most--
			go func(pause int) {
				conn, err := net.Dial("tcp", peer) // OPENS worker_connections
				for err == nil {
					err = ask(conn, "echo")
					time.Sleep(time.Duration(pause) * time.Millisecond) // between jobs
				}
			}(draw(500, 3000))
		})
	},
	"subscribers": func() { // blocked in a read, with and without news
		most := draw(10, 30)
		operations(func() {
			if most == 0 || !oneIn(4) {
				return
			}
			most--
			go func(request string) {
				conn, err := net.Dial("tcp", peer) // OPENS subscribers
				if err != nil {
					return
				}
				defer conn.Close()
				io.WriteString(conn, request)
				io.Copy(io.Discard, conn)
			}([]string{"sub 1400\n", "mute\n"}[most%2])
		})
	},
	"dial_retry": func() {
		operations(func() {
			for tries := 0; tries < 3; tries++ {
				to := peer
				if oneIn(2) {
					to = refusing
				}
				if conn, err := net.Dial("tcp", to); err == nil { // OPENS dial_retry
					ask(conn, "echo")
					conn.Close()
					return
				}
				time.Sleep(time.Duration(30<<tries) * time.Millisecond) // backoff
			}
		})
	},
}

func main() {
	name = os.Args[1]
	flag.CommandLine.Parse(os.Args[2:])
	chance = rand.New(rand.NewSource(*seed))
	rate, burst, period = draw(5, 20), draw(8, 25), 2+3*chance.Float64()
	stopAfter = *duration * (0.25 + 0.25*chance.Float64())
	if *truthPath != "" {
		truth, _ = os.Create(*truthPath)
	}
	leaked(0)
	scenarios[name]()
}
