package store

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// bucketServer speaks as much of S3 as a replica needs. fault, if set, may answer in its place.
type bucketServer struct {
	mu      sync.Mutex
	objects map[string][]byte // by key
	fault   func(w http.ResponseWriter, r *http.Request) bool
}

func (b *bucketServer) broken(f func(w http.ResponseWriter, r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

func (b *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !strings.Contains(r.Header.Get("Authorization"), "Credential=id/") {
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key, _ := strings.CutPrefix(r.URL.Path, "/bucket/")
	b.mu.Lock()
	defer b.mu.Unlock()
	switch q := r.URL.Query(); {
	case r.Method == http.MethodPut:
		b.objects[key] = body
		w.Header().Set("ETag", `"tag"`)
	case r.Method == http.MethodPost && q.Has("delete"):
		var in struct {
			Object []struct{ Key string }
		}
		if err := xml.Unmarshal(body, &in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, o := range in.Object {
			delete(b.objects, o.Key)
		}
		fmt.Fprint(w, "<DeleteResult></DeleteResult>")
	case q.Get("list-type") == "2":
		var keys []string
		for k := range b.objects {
			if strings.HasPrefix(k, q.Get("prefix")) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
		for _, k := range keys {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>%s</LastModified></Contents>", k, len(b.objects[k]), time.Now().UTC().Format(time.RFC3339))
		}
		fmt.Fprint(w, "</ListBucketResult>")
	default:
		b.get(w, r, key)
	}
}

func (b *bucketServer) get(w http.ResponseWriter, r *http.Request, key string) {
	data, ok := b.objects[key]
	if !ok {
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	}
	first, last, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	from, _ := strconv.Atoi(first)
	to, err := strconv.Atoi(last)
	if err != nil || to >= len(data) {
		to = len(data) - 1
	}
	w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
	if r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(data[from : to+1])
	}
}

// inBucket is a configuration whose replicas are in a bucket on loopback.
func inBucket(t *testing.T, dir string) (*ReplicaConfig, *bucketServer) {
	t.Helper()
	for _, name := range []string{"AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	b := &bucketServer{objects: map[string][]byte{}}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	c := replicas(dir, "")
	for i, name := range []string{"node/waybill", "node/vault"} {
		at := &Bucket{Name: "bucket", Path: name, Endpoint: s.URL, AccessKeyID: "id", SecretAccessKey: NewSecret("hush"), PathStyle: true}
		c.Databases[i].Bucket, c.Databases[i].Replica = at, at.String()
	}
	return c, b
}

// A node is replicated to a bucket and comes back from it, whole.
func TestReplicaInABucket(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	s := newNode(t, Options{Dir: dir, NewID: ids(), Ballast: -1}, "acme")
	v := openVault(t, dir, key)
	put(t, v, "acme", "c1", "sk-one")
	if err := errors.Join(s.Close(), v.Close()); err != nil {
		t.Fatal(err)
	}
	c, b := inBucket(t, dir)
	r := replicate(t, c)
	s = reopen(t, Options{Dir: dir, NewID: ids(), Ballast: -1, Replicated: true})
	r.Follow(s)
	grow(t, s, []string{"acme"}, 300)
	synced(t, r)
	position, _ := r.Position()
	if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	for key := range b.objects {
		if !strings.HasPrefix(key, "node/waybill/") && !strings.HasPrefix(key, "node/vault/") {
			t.Errorf("%s is in the bucket", key)
		}
	}
	to := filepath.Join(t.TempDir(), "new")
	done := restore(t, RestoreOptions{Replicas: c, Dir: to, Master: key})
	if want := headOf(t, dir); done.From != want || position != want {
		t.Errorf("restored to %d, the log ended at %d, and the replica was said to be at %d", done.From, want, position)
	}
	holds(t, openVault(t, to, key), "acme", "c1", "sk-one")
}

// A bucket that refuses, or does not answer, does not keep a node from starting; what was not taken there then is later.
func TestBucketOutOfReach(t *testing.T) {
	dir, _, _ := small(t)
	c, b := inBucket(t, dir)
	denied := true
	b.broken(func(w http.ResponseWriter, r *http.Request) bool {
		if denied {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>", http.StatusForbidden)
		}
		return denied
	})
	r := replicate(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := r.SyncTo(ctx); err == nil || !strings.Contains(err.Error(), "AccessDenied") || strings.Contains(err.Error(), "hush") {
		t.Errorf("waiting for a bucket that refuses: %v", err)
	}
	b.broken(nil)
	synced(t, r)
}

// The S3 client of litestream fails with this variable, at each call and with a text that helps nobody.
func TestBucketWithOwnCertificates(t *testing.T) {
	dir, _, _ := small(t)
	c, _ := inBucket(t, dir)
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(dir, "own.pem"))
	_, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err == nil || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("with AWS_CA_BUNDLE: %v", err)
	}
}
