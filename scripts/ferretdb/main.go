// Command ferretdb-for-tests serves MongoDB's wire protocol from SQLite files in one folder, for
// the tests of cdb on machines that have no mongod. See ../mongo-for-tests, which builds and runs it.
//
// It prints one line, mongodb://127.0.0.1:PORT/, once connections are accepted; everything else
// that it has to say is an error and goes to standard error. It opens no connection of its own:
// FerretDB's telemetry belongs to its command and is never started by the embedded package.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// FerretDB waits 3 s for clients that hold a connection, and drivers always do. Every acknowledged
// write is in SQLite's files by then, so there is nothing to wait for.
const goodbye = 200 * time.Millisecond

func main() {
	folder := flag.String("folder", "", "where the databases are kept, an existing folder")
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	untilStdinCloses := flag.Bool("until-stdin-closes", false,
		"stop at the end of standard input, so that no server outlives the one who started it")
	flag.Parse()

	if flag.NArg() > 0 || *folder == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(*folder, *port, *untilStdinCloses); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb-for-tests:", err)
		os.Exit(1)
	}
}

// serve answers until it is told to stop by a signal or, if asked for, by the end of standard input.
func serve(folder string, port int, untilStdinCloses bool) error {
	sqlite, err := sqliteURL(folder)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:" + strconv.Itoa(port)},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: sqlite,
	})
	if err != nil {
		return err
	}

	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()

	if untilStdinCloses {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}

	fmt.Println(server.MongoDBURI())

	<-ctx.Done()
	select {
	case err = <-stopped:
	case <-time.After(goodbye):
	}
	return err
}

// sqliteURL names a folder as FerretDB wants it: a URL that ends with a slash.
func sqliteURL(folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(path, "?#%") {
		// FerretDB hands the path to SQLite unescaped, which would then open another file.
		return "", fmt.Errorf("folder %q: its path must not contain ?, # or %%", path)
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path + "/"}).String(), nil
}
