package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

const gapsTold = 20

// journal records when each write was acknowledged, and all errors since the first acknowledgement.
type journal struct {
	numbers []uint64
	times   []float64
	errors  []failure
}

type failure struct {
	at   float64
	kind string
}

type gap struct {
	Begun   float64        `json:"begun"`
	Seconds float64        `json:"seconds"`
	Errors  map[string]int `json:"errors"`
}

type verdict struct {
	Acked  int            `json:"acked"`
	Role   string         `json:"role"`
	Lost   []float64      `json:"lost"`
	Gaps   []gap          `json:"gaps"`
	Errors map[string]int `json:"errors"`
}

func (j *journal) acknowledge(number uint64, at float64) {
	j.numbers = append(j.numbers, number)
	j.times = append(j.times, at)
}

func (j *journal) fail(kind string, at float64) {
	// Until the NetworkPolicy admits the pod's address everywhere, writes fail for a reason that is no fault.
	if len(j.times) > 0 {
		j.errors = append(j.errors, failure{at, kind})
	}
}

// gaps lists the longest times without an acknowledgement, longest first; the time until `end` is one too.
func (j *journal) gaps(end float64) []gap {
	found := []gap{}
	for index, begun := range j.times {
		next := end
		if index+1 < len(j.times) {
			next = j.times[index+1]
		}
		found = append(found, gap{Begun: begun, Seconds: next - begun})
	}
	slices.SortStableFunc(found, func(a, b gap) int {
		switch {
		case a.Seconds > b.Seconds:
			return -1
		case a.Seconds < b.Seconds:
			return 1
		}
		return 0
	})
	found = found[:min(gapsTold, len(found))]
	for index, each := range found {
		found[index].Errors = j.count(each.Begun, each.Begun+each.Seconds)
	}
	return found
}

// count counts the errors between two times by their kind.
func (j *journal) count(begun, end float64) map[string]int {
	counted := map[string]int{}
	for _, each := range j.errors {
		if begun <= each.at && each.at <= end {
			counted[each.kind]++
		}
	}
	return counted
}

// kindOf names the kind of an error: Valkey's error code, or what happened to the connection.
func kindOf(err error) string {
	var answered redis.Error
	var network net.Error
	isBroken := func(cause error) bool { return errors.Is(err, cause) }
	switch {
	case errors.As(err, &answered):
		code, _, _ := strings.Cut(answered.Error(), " ")
		return code
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE}, isBroken):
		return "closed"
	case slices.ContainsFunc([]error{context.DeadlineExceeded, redis.ErrPoolTimeout}, isBroken):
		return "timeout"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "unreachable"
}

// roleIn finds the role in the answer to `INFO replication`.
func roleIn(info string) string {
	for _, line := range strings.Split(info, "\r\n") {
		if role, isRole := strings.CutPrefix(line, "role:"); isRole {
			return role
		}
	}
	return ""
}
