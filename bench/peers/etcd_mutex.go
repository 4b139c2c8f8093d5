// A worker of the benchmarks that takes turns by Go's concurrency.Mutex, the recipe that `etcdctl lock` and most etcd
// clients follow. It speaks the words of bench/worker.cpp on standard input and output.
//
//	etcd_mutex ENDPOINT NAME THREADS [each]
//
// each: every thread has a name of its own.
package main

import (
	"bufio"
	"context"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
	"golang.org/x/sys/unix"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd_mutex:", err)
		os.Exit(1)
	}
}

// The clock that all workers share: CLOCK_MONOTONIC.
func nowNs() int64 {
	var at unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return at.Nano()
}

// The same buckets as bench/histogram.hpp.
func bucketOf(value uint64) int {
	if value < 16 {
		return int(value)
	}
	shift := bits.Len64(value) - 5
	return shift*16 + int(value>>uint(shift))
}

func slice(mutexes []*concurrency.Mutex, length time.Duration, hold time.Duration) {
	turns := make([]int, len(mutexes))
	waits := map[int]int{}
	var guard sync.Mutex
	var all sync.WaitGroup
	end := nowNs() + length.Nanoseconds()
	for index, mutex := range mutexes {
		all.Add(1)
		go func(index int, mutex *concurrency.Mutex) {
			defer all.Done()
			mine := map[int]int{}
			for called := nowNs(); called < end; called = nowNs() {
				check(mutex.Lock(context.Background()))
				acquired := nowNs()
				if hold > 0 {
					time.Sleep(hold)
				}
				check(mutex.Unlock(context.Background()))
				mine[bucketOf(uint64(acquired-called))]++
				if acquired < end {
					turns[index]++
				}
			}
			guard.Lock()
			defer guard.Unlock()
			for bucket, count := range mine {
				waits[bucket] += count
			}
		}(index, mutex)
	}
	all.Wait()
	answer := "done"
	for _, count := range turns {
		answer += fmt.Sprintf(" %d:0:0", count)
	}
	answer += " waits"
	for bucket, count := range waits {
		answer += fmt.Sprintf(" %d:%d", bucket, count)
	}
	fmt.Println(answer)
}

func main() {
	threads, err := strconv.Atoi(os.Args[3])
	check(err)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 5 * time.Second})
	check(err)
	mutexes := make([]*concurrency.Mutex, threads)
	for index := range mutexes {
		// A session each: two mutexes of one session and name would be one holder.
		session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
		check(err)
		name := os.Args[2]
		if len(os.Args) > 4 {
			name += "-" + strconv.Itoa(index)
		}
		mutexes[index] = concurrency.NewMutex(session, name)
	}
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch words[0] {
		case "go":
			length, err := strconv.Atoi(words[1])
			check(err)
			hold := 0
			if len(words) > 2 {
				hold, err = strconv.Atoi(words[2])
				check(err)
			}
			slice(mutexes, time.Duration(length)*time.Millisecond, time.Duration(hold)*time.Microsecond)
		case "acquire":
			check(mutexes[0].Lock(context.Background()))
			fmt.Println("acquired", nowNs())
		case "release":
			called := nowNs()
			check(mutexes[0].Unlock(context.Background()))
			fmt.Println("released", called)
		}
	}
}
