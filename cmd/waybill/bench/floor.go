package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"waybill/router/sandbox"
)

// The environment of the benchmark's own processes.
const (
	RoleVariable   = "BENCH_ROLE"   // upstream, floor or journal
	TargetVariable = "BENCH_TARGET" // where a floor forwards to
	FolderVariable = "BENCH_FOLDER" // where a journal is kept
)

// Role runs one of the benchmark's own processes until ctx ends: upstream, floor, or journal.
func Role(ctx context.Context, role, target, dir string, out io.Writer) error {
	if role == "upstream" {
		s, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{KeepCalls: 1})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "upstream at", s.URL())
		<-ctx.Done()
		return s.Close()
	}
	to, err := url.Parse(target)
	if err != nil {
		return err
	}
	h := &floor{proxy: &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Header["X-Forwarded-For"] = nil },
		FlushInterval: -1,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}}
	if role == "journal" {
		j, err := openJournal(filepath.Join(dir, "journal"))
		if err != nil {
			return err
		}
		defer j.close()
		h.journal = j
		h.proxy.ModifyResponse = h.settle
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { srv.Close() })
	fmt.Fprintf(out, "%s at http://%s\n", role, l.Addr())
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// floor is the least that a gateway does: it reads a body whole and forwards it. With a journal it also keeps a
// durable record of each call before it is made and before its answer goes out.
type floor struct {
	proxy   *httputil.ReverseProxy
	journal *journal
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.journal != nil {
		if err := f.journal.append(record(r.URL.Path)); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	f.proxy.ServeHTTP(w, r)
}

// settle holds an answer back until its record is durable.
func (f *floor) settle(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return f.journal.append(record(resp.Request.URL.Path))
}

// record is as large as an event of waybill's.
func record(path string) []byte {
	b := make([]byte, 600)
	copy(b, path)
	b[len(b)-1] = '\n'
	return b
}

// journal is a file with group commit: what arrived during the last fsync is the next batch.
type journal struct {
	file  *os.File
	queue chan appendix
	done  sync.WaitGroup
}

type appendix struct {
	line    []byte
	durable chan error
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, queue: make(chan appendix, 4096)}
	j.done.Go(j.write)
	return j, nil
}

func (j *journal) append(line []byte) error {
	a := appendix{line, make(chan error, 1)}
	j.queue <- a
	return <-a.durable
}

func (j *journal) write() {
	var batch []appendix
	var buf []byte
	for first := range j.queue {
		batch, buf = append(batch[:0], first), append(buf[:0], first.line...)
		for n := len(j.queue); n > 0; n-- {
			a := <-j.queue
			batch, buf = append(batch, a), append(buf, a.line...)
		}
		_, err := j.file.Write(buf)
		if err == nil {
			err = j.file.Sync()
		}
		for _, a := range batch {
			a.durable <- err
		}
	}
}

func (j *journal) close() error {
	close(j.queue)
	j.done.Wait()
	return j.file.Close()
}
