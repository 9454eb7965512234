// Posts one prebuilt request again and again over several persistent TLS connections, and prints how long each answer
// took. It does as little as it can: it builds the request's bytes once, and checks only the status and the length of
// an answer. It overwrites the digits of the object's name, so that no server can answer from a cache.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

type load struct {
	address, serverName, authority, path, body, name string
	connections, leastBytes                          int
	duration                                         time.Duration
}

type report struct {
	Seconds     float64 `json:"seconds"`
	Nanoseconds []int64 `json:"nanoseconds"`
}

func main() {
	var given load
	flag.StringVar(&given.address, "address", "", "host:port to connect to")
	flag.StringVar(&given.serverName, "server-name", "", "DNS name that the server's certificate must have")
	flag.StringVar(&given.authority, "authority", "", "file with the authority's certificate")
	flag.StringVar(&given.path, "path", "", "path to post to")
	flag.StringVar(&given.body, "body", "", "file with the request's body")
	flag.StringVar(&given.name, "name", "", "name in the body whose last four digits differ from request to request")
	flag.IntVar(&given.connections, "connections", 8, "number of connections, each with one request at a time")
	flag.IntVar(&given.leastBytes, "least-bytes", 1, "the shortest answer that counts as right")
	flag.DurationVar(&given.duration, "duration", time.Second, "how long to send requests")
	flag.Parse()
	// A request allocates nothing but its latency; the garbage collector would only take time from the measurement.
	debug.SetGCPercent(-1)
	result, err := given.run()
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func (l load) run() (report, error) {
	request, err := l.bytes()
	if err != nil {
		return report{}, err
	}
	connections := make([]*connection, l.connections)
	for i := range connections {
		if connections[i], err = l.dial(); err != nil {
			return report{}, err
		}
		connections[i].request, connections[i].number = newRequest(request, l.name), i
		// The handshake and the first exchange are not measured.
		if err = connections[i].exchange(l.leastBytes); err != nil {
			return report{}, err
		}
	}
	var group sync.WaitGroup
	failures := make([]error, l.connections)
	latencies := make([][]int64, l.connections)
	start := time.Now()
	end := start.Add(l.duration)
	for i, used := range connections {
		group.Go(func() { latencies[i], failures[i] = used.repeat(l.connections, l.leastBytes, end) })
	}
	group.Wait()
	result := report{Seconds: time.Since(start).Seconds()}
	for _, some := range latencies {
		result.Nanoseconds = append(result.Nanoseconds, some...)
	}
	return result, errors.Join(failures...)
}

func (l load) bytes() ([]byte, error) {
	body, err := os.ReadFile(l.body)
	if err != nil {
		return nil, err
	}
	// The headers that the API server sends.
	head := fmt.Sprintf("POST %s?timeout=5s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\n"+
		"Content-Length: %d\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n"+
		"Accept-Encoding: gzip\r\n\r\n", l.path, l.serverName, len(body))
	return append([]byte(head), body...), nil
}

func (l load) dial() (*connection, error) {
	pem, err := os.ReadFile(l.authority)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: authorities, ServerName: l.serverName, NextProtos: []string{"http/1.1"}}
	made, err := tls.Dial("tcp", l.address, config)
	if err != nil {
		return nil, err
	}
	return &connection{Writer: made, answers: bufio.NewReaderSize(made, 64*1024)}, nil
}

// request holds the bytes to send, and the offsets of the digits of the object's name in them.
type request struct {
	bytes  []byte
	digits []int
}

func newRequest(content []byte, name string) request {
	made := request{bytes: bytes.Clone(content)}
	for at := 0; name != ""; {
		found := bytes.Index(content[at:], []byte(name))
		if found < 0 {
			break
		}
		at += found + len(name)
		made.digits = append(made.digits, at-4)
	}
	return made
}

func (r request) rename(number int) {
	for _, at := range r.digits {
		for place, left := at+3, number; place >= at; place, left = place-1, left/10 {
			r.bytes[place] = byte('0' + left%10)
		}
	}
}

type connection struct {
	io.Writer
	request
	answers *bufio.Reader
	number  int
}

func (c *connection) repeat(step, leastBytes int, end time.Time) ([]int64, error) {
	latencies := make([]int64, 0, 1<<17)
	for start := time.Now(); start.Before(end); {
		if err := c.exchange(leastBytes); err != nil {
			return nil, err
		}
		c.number += step
		now := time.Now()
		latencies = append(latencies, int64(now.Sub(start)))
		start = now
	}
	return latencies, nil
}

func (c *connection) exchange(leastBytes int) error {
	c.rename(c.number)
	if _, err := c.Write(c.bytes); err != nil {
		return err
	}
	length, err := c.answer()
	if err != nil {
		return err
	}
	if length < leastBytes {
		return fmt.Errorf("an answer of %d bytes; at least %d were expected", length, leastBytes)
	}
	return nil
}

// answer reads one answer and returns the length of its body.
func (c *connection) answer() (int, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return 0, fmt.Errorf("answered %q", line)
	}
	length, err := -1, error(nil)
	for {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		// net/http sends a body of more than 2 kB in chunks, unless the handler sets Content-Length.
		return c.chunks()
	}
	_, err = c.answers.Discard(length)
	return length, err
}

func (c *connection) chunks() (int, error) {
	total := 0
	for {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		size, err := strconv.ParseInt(string(line), 16, 32)
		if err != nil {
			return 0, err
		}
		if _, err := c.answers.Discard(int(size) + len("\r\n")); err != nil {
			return 0, err
		}
		if total += int(size); size == 0 {
			return total, nil
		}
	}
}

func (c *connection) line() ([]byte, error) {
	line, err := c.answers.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
