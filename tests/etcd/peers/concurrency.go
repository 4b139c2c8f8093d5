// Go's concurrency.Mutex and concurrency.Election, for the tests of who excludes whom.
//
//	concurrency ENDPOINT lock NAME             says "held KEY REVISION", and unlocks at a line on standard input
//	concurrency ENDPOINT elect NAME PROPOSAL   says "leads", and resigns at a line on standard input
//	concurrency ENDPOINT leader NAME           says the proposal of whoever leads
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "concurrency:", err)
		os.Exit(1)
	}
}

func awaitLine() {
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
}

func main() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 5 * time.Second})
	check(err)
	session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	check(err)
	background := context.Background()
	switch os.Args[2] {
	case "lock":
		mutex := concurrency.NewMutex(session, os.Args[3])
		check(mutex.Lock(background))
		fmt.Println("held", mutex.Key(), mutex.Header().Revision)
		awaitLine()
		check(mutex.Unlock(background))
		fmt.Println("released")
	case "elect":
		election := concurrency.NewElection(session, os.Args[3])
		check(election.Campaign(background, os.Args[4]))
		fmt.Println("leads")
		awaitLine()
		check(election.Resign(background))
		fmt.Println("resigned")
	case "leader":
		answer, err := concurrency.NewElection(session, os.Args[3]).Leader(background)
		check(err)
		fmt.Println(string(answer.Kvs[0].Value))
	}
	check(session.Close())
}
