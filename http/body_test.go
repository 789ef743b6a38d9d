package http_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// A body beyond the cap is refused whether it says its size or not, and is never in memory.
func TestLargeBody(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	large := func() io.Reader {
		return io.MultiReader(strings.NewReader(`{"model":"auto","x":"`), io.LimitReader(spaces{}, 40<<20))
	}
	for _, body := range []io.Reader{bytes.NewReader(mustRead(t, large())), large()} {
		resp := n.as(secret).send("POST", "/v1/chat/completions", body)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 413 || !strings.Contains(string(b), `"too_large"`) {
			t.Errorf("status %d, %v: %s", resp.StatusCode, err, b)
		}
	}
	if n.server.BodyBytes() != 0 {
		t.Errorf("%d bytes are still counted", n.server.BodyBytes())
	}
	// One of 31 MiB is within it, and refused for what it is.
	body := chatBody(luna, "hi", `,"pad":"`+strings.Repeat(" ", 31<<20)+`"`)
	if a := n.as(secret).call("POST", "/v1/chat/completions", body); a.status == 413 {
		t.Errorf("31 MiB: %s", a.body)
	}
}

type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func mustRead(t *testing.T, r io.Reader) []byte {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Bodies share a budget; what does not fit is asked to come again.
func TestBodyBudget(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.MaxBodies = 4096 })
	_, secret := n.open("acme", "teams")
	big := chatBody(luna, strings.Repeat("x", 5000), "")
	if a := n.as(secret).call("POST", "/v1/chat/completions", big).want(503); a.header.Get("Retry-After") != "1" || a.text("error.code") != "not_ready" {
		t.Errorf("%v %s", a.header, a.body)
	}
	n.as(secret).chat(luna, "hi", "").want(200)
	if n.server.BodyBytes() != 0 {
		t.Errorf("%d bytes are still counted", n.server.BodyBytes())
	}
}

// dial opens a bare connection, to send what no client would.
func (n *node) dial() net.Conn {
	n.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	n.must(err)
	n.t.Cleanup(func() { c.Close() })
	n.must(c.SetDeadline(time.Now().Add(10 * time.Second)))
	return c
}

// A body that stalls ends with a clear error, and a caller who leaves in the middle of one leaves nothing behind.
func TestStalledBody(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.BodyTimeout = 50 * time.Millisecond })
	_, secret := n.open("acme", "teams")
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + secret + "\r\nContent-Length: 1000\r\n\r\n{\"model\":"
	c := n.dial()
	_, err := io.WriteString(c, head)
	n.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	n.must(err)
	if b := mustRead(t, resp.Body); resp.StatusCode != 408 || !strings.Contains(string(b), "did not arrive") {
		t.Errorf("status %d: %s", resp.StatusCode, b)
	}
	// One that nobody would read is not waited for any longer.
	stranger := n.dial()
	_, err = io.WriteString(stranger, strings.Replace(head, secret, "wbk_stranger", 1))
	n.must(err)
	if resp, err = http.ReadResponse(bufio.NewReader(stranger), nil); err != nil || resp.StatusCode != 401 {
		t.Errorf("a stranger's stalled body: %v, %v", resp, err)
	}
	gone := n.dial()
	_, err = io.WriteString(gone, head)
	n.must(err)
	gone.Close()
	n.as(secret).chat(luna, "hi", "").want(200)
	until(t, "the body's bytes", func() bool { return n.server.BodyBytes() == 0 })
	// The time for the body is not the time for the answer.
	a := n.as(secret).chat(luna, "hi [[sandbox latency=200ms]]", `,"stream":true`).want(200)
	d := n.as(operatorToken).call("GET", "/api/v1/requests/"+a.header.Get("Waybill-Request"), "").want(200)
	if d.text("request.reason") != "" {
		t.Errorf("the caller is taken for gone: %s", d.body)
	}
}

// Headers that come byte by byte do not hold a connection.
func TestSlowHeaders(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.HeaderTimeout = 50 * time.Millisecond })
	addr, err := n.server.Listen("127.0.0.1:0")
	n.must(err)
	served := make(chan error, 1)
	go func() { served <- n.server.Serve() }()
	c, err := net.Dial("tcp", addr.String())
	n.must(err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
	n.must(err)
	n.must(c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection is held: %v", err)
	}
	n.must(n.server.Close())
	n.must(<-served)
}
