// Writer runs in a pod: it writes a new key about every 2 ms through a storage's Service with go-redis, as ToolHive's
// proxies would, and remembers the writes that were acknowledged.
//
// Every second it prints its progress. On SIGTERM it asks the primary for every acknowledged key, deletes its keys, and
// prints its verdict as one line. What it prints is what tests/chaos/writer.py prints. Times are those of the monotonic
// clock, which all namespaces of a machine share, so that the program that inflicts a fault can compare them with its
// own.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

const (
	port          = "6379"
	pace          = 2 * time.Millisecond
	reportSeconds = 1.0
	verdictWithin = 60 * time.Second
	retryAfter    = 100 * time.Millisecond
	batch         = 500

	// How long a proxy waits for one operation on its store.
	// Source: toolhive v0.47.0, pkg/transport/session/manager.go, defaultOperationTimeout.
	operationTimeout = 5 * time.Second
)

// options are those of ToolHive's proxies; go-redis chooses all others, the number of retries among them.
// Source: toolhive v0.47.0, pkg/runner/runner.go (tcredis.Config) and pkg/transport/session/storage_redis.go, with
// toolhive-core v0.0.43, redis/client.go (buildStandaloneClient) and redis/config.go (DefaultDialTimeout and others).
func options(host, password string) *redis.Options {
	return &redis.Options{
		Addr:         host + ":" + port,
		Password:     password,
		DB:           0,
		DialTimeout:  5 * time.Second,
		ReadTimeout:  3 * time.Second,
		WriteTimeout: 3 * time.Second,
	}
}

// silence keeps go-redis from logging: whoever reads the progress takes the last line for it.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

type writer struct {
	client  *redis.Client
	prefix  string
	journal journal
}

// run writes until the channel says that it should end.
func (w *writer) run(ended <-chan os.Signal) {
	told := 0.0
	for number := uint64(1); ; number++ {
		select {
		case <-ended:
			return
		default:
		}
		if err := w.set(number); err != nil {
			w.journal.fail(kindOf(err), now())
		} else {
			w.journal.acknowledge(number, now())
		}
		if now()-told > reportSeconds {
			told = now()
			tell(map[string]any{"acked": len(w.journal.times)})
		}
		time.Sleep(pace)
	}
}

// set writes one key; a write that go-redis tries again by itself is one write.
func (w *writer) set(number uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	return w.client.Set(ctx, w.key(number), "x", 0).Err()
}

// verdict asks the primary for every acknowledged key, sums up all writes, and deletes the keys.
func (w *writer) verdict() verdict {
	ended := now()
	found := verdict{
		Acked:  len(w.journal.times),
		Lost:   []float64{},
		Gaps:   w.journal.gaps(ended),
		Errors: w.journal.count(0, ended),
	}
	w.retry(func(conn *redis.Conn) error {
		info, err := conn.Info(context.Background(), "replication").Result()
		found.Role = roleIn(info)
		if err == nil {
			found.Lost, err = w.lost(conn)
		}
		return err
	})
	w.retry(w.clean)
	return found
}

// lost returns when the writes were acknowledged whose keys the instance does not have.
func (w *writer) lost(conn *redis.Conn) ([]float64, error) {
	lost := []float64{}
	err := w.batches(func(begin int, keys []string) error {
		answers, err := conn.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
			for _, key := range keys {
				pipe.Exists(context.Background(), key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for index, answer := range answers {
			if answer.(*redis.IntCmd).Val() == 0 {
				lost = append(lost, math.Round(w.journal.times[begin+index]*1000)/1000)
			}
		}
		return nil
	})
	return lost, err
}

func (w *writer) clean(conn *redis.Conn) error {
	return w.batches(func(_ int, keys []string) error {
		return conn.Unlink(context.Background(), keys...).Err()
	})
}

// batches calls `act` with groups of acknowledged keys, and with the place of each group's first key in the journal.
func (w *writer) batches(act func(begin int, keys []string) error) error {
	numbers := w.journal.numbers
	for begin := 0; begin < len(numbers); begin += batch {
		var keys []string
		for _, number := range numbers[begin:min(begin+batch, len(numbers))] {
			keys = append(keys, w.key(number))
		}
		if err := act(begin, keys); err != nil {
			return err
		}
	}
	return nil
}

// retry tries until it works, on one connection each time, because the storage may still be recovering.
func (w *writer) retry(act func(*redis.Conn) error) {
	for deadline := time.Now().Add(verdictWithin); ; time.Sleep(retryAfter) {
		conn := w.client.Conn()
		err := act(conn)
		_ = conn.Close() // the connection only returns to the pool
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			exit(fmt.Sprintf("no verdict within %v: %s", verdictWithin, kindOf(err)))
		}
	}
}

func (w *writer) key(number uint64) string {
	return fmt.Sprintf("%s%d", w.prefix, number)
}

// now reads the monotonic clock, in seconds, as time.monotonic() of Python does.
func now() float64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		exit(err.Error())
	}
	return float64(at.Sec) + float64(at.Nsec)/1e9
}

func tell(content any) {
	if err := json.NewEncoder(os.Stdout).Encode(content); err != nil {
		exit(err.Error())
	}
}

func exit(problem string) {
	fmt.Fprintln(os.Stderr, problem)
	os.Exit(1)
}

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	// A proxy too reads the password once: ToolHive puts it into its environment.
	password, err := os.ReadFile(os.Getenv("PASSWORD_FILE"))
	if err != nil {
		exit(err.Error())
	}
	redis.SetLogger(silence{})
	client := redis.NewClient(options(os.Getenv("VALKEY_HOST"), string(password)))
	writing := writer{client: client, prefix: os.Getenv("KEY_PREFIX")}
	writing.run(ended)
	tell(writing.verdict())
}
