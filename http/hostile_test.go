package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// exchange sends bytes on a connection of their own and gives all that comes back before it is closed or silent.
func (n *node) exchange(raw []byte) string {
	n.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	n.must(err)
	defer c.Close()
	n.must(c.SetDeadline(time.Now().Add(15 * time.Second)))
	var sent sync.WaitGroup
	defer sent.Wait()
	sent.Go(func() { _, _ = c.Write(raw) }) // who is refused early is not read to the end
	var got bytes.Buffer
	for b := make([]byte, 64<<10); ; {
		k, err := c.Read(b)
		got.Write(b[:k])
		if err != nil {
			c.Close()
			return got.String()
		}
		// What is not closed is idle by then: nobody waits for more than an answer.
		n.must(c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)))
	}
}

// frames are heads of calls that are no calls, or none that may be believed. KEY stands for a key; each is followed by a body of
// ten bytes, and by a second call that must not be done.
var frames = map[string]string{
	"a length and chunks":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and a length":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n",
	"two lengths":                      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n",
	"a list of lengths":                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10, 10\r\n\r\n",
	"a negative length":                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	"a signed length":                  "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: +10\r\n\r\n",
	"a length in hex":                  "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0a\r\n\r\n",
	"a length beyond 64 bits":          "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"an unknown encoding":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
	"chunks in gzip":                   "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"two encodings":                    "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
	"an encoding after a tab":          "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
	"a space before the colon":         "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length : 10\r\n\r\n",
	"a folded header":                  "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n",
	"a NUL in a header":                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Y: a\x00b\r\n\r\n",
	"a bare CR in a header":            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Y: a\rTransfer-Encoding: chunked\r\n\r\n",
	"a name of no letters":             "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
	"a name with a NUL":                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX\x00Y: y\r\n\r\n",
	"a name beyond ASCII":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Ä: y\r\n\r\n",
	"a line without a colon":           "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
	"no host":                          "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
	"two hosts":                        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"a host that is none":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x y/z\r\n\r\n",
	"a space in the path":              "POST /v1/chat /completions HTTP/1.1\r\nHost: x\r\n\r\n",
	"a control character in the path":  "POST /v1/chat\x01/completions HTTP/1.1\r\nHost: x\r\n\r\n",
	"a path that is none":              "POST v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
	"a broken escape in the path":      "POST /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"a method that is none":            "PO\x00ST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
	"HTTP/0.9":                         "GET /healthz\r\n\r\n",
	"HTTP/3.0":                         "GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n",
	"HTTP/1.10":                        "GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n",
	"HTTP/2 without TLS":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"TLS where there is none":          "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"an expectation that is not known": "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 10\r\n\r\n",
	"headers without end":              "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Y: " + strings.Repeat("a", 100<<10) + "\r\n\r\n",
	"ten thousand headers":             "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Y: aaaa\r\n", 10_000) + "\r\n",
	"a path without end":               "GET /" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"a chunk of no size":               "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"a chunk of a negative size":       "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
	"a chunk beyond 64 bits":           "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
	"a chunk whose line does not end":  "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 10_000) + "\r\n",
	"a key in a trailer":               "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n0\r\nX-Api-Key: KEY\r\n\r\n",
	"a key in the address":             "POST /v1/chat/completions?key=KEY HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
	"a key in a cookie":                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nCookie: key=KEY; Authorization=Bearer KEY\r\nContent-Length: 2\r\n\r\n{}",
	"a key in a login":                 "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Basic KEY\r\nContent-Length: 2\r\n\r\n{}",
	"a tunnel":                         "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\nConnection: close\r\n\r\n",
	"an echo of its headers":           "TRACE /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n",
	"another's address as a proxy's":   "GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
	"a way up":                         "GET /v1/models/../../api/v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n",
	"an escaped way up":                "GET /v1/models/%2e%2e/%2e%2e/api/v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n",
	"slashes":                          "GET //api//v1//orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n",
	"a method in a header":             "GET /api/v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nX-HTTP-Method-Override: POST\r\nX-Original-URL: /healthz\r\n\r\n",
	"a forged caller":                  "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
}

// TestHostileFrames: what is no call, or none that can be told from another, is refused, and nothing behind it is done.
func TestHostileFrames(t *testing.T) {
	n := newNode(t, nil)
	_, key := n.open("acme", "teams")
	url, _, served := n.listen()
	n.url = url
	calls, head := len(n.up.Calls()), n.head()
	smuggled := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + "\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
	body := chatBody(luna, "smuggled", "")
	for why, frame := range frames {
		raw := strings.ReplaceAll(frame, "KEY", key)
		if !strings.Contains(raw, "Content-Length: 2\r\n") && !strings.HasPrefix(raw, "GET ") && !strings.HasPrefix(raw, "TRACE") {
			raw += "0123456789" + fmt.Sprintf(smuggled, len(body), body)
		}
		got := n.exchange([]byte(raw))
		if line, _, _ := strings.Cut(got, "\r\n"); got != "" && !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 501") && !strings.HasPrefix(line, "HTTP/1.1 505") {
			t.Errorf("%s: %s", why, line)
		}
		if strings.Count(got, "HTTP/1.1 ") > 1 || strings.Contains(got, key) {
			t.Errorf("%s: %q", why, got)
		}
	}
	if len(frames) < 40 {
		t.Errorf("%d frames", len(frames))
	}
	if len(n.up.Calls()) != calls || n.head() != head {
		t.Errorf("%d calls upstream, %d events", len(n.up.Calls())-calls, n.head()-head)
	}
	if strings.Contains(n.log.String(), "panic") {
		t.Errorf("%s", n.log)
	}
	n.as(key).chat(luna, "hi", "").want(200)
	n.must(n.server.Close())
	n.must(<-served)
}

// doors are where each dialect's bodies go, what one is that is taken but for MORE, a member of it, and where its errors stand.
var doors = []struct{ path, body, message string }{
	{"/v1/chat/completions", `{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"hi"}]MORE}`, "error.message"},
	{"/v1/responses", `{"model":"openai/gpt-6-luna","input":"hi"MORE}`, "error.message"},
	{"/v1/messages", `{"model":"anthropic/claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]MORE}`, "error.message"},
	{"/v1beta/models/gemini-2.5-flash-lite:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]MORE}`, "error.message"},
	{"/v1/embeddings", `{"model":"openai/text-embedding-3-small","input":"hi"MORE}`, "error.message"},
}

// hostile are bodies by what they try; BODY stands for one that is taken, MORE for a member of it, NAME for the first member's name.
// An upstream may take some that are sound.
var hostile = map[string]func(body string) []byte{
	"nothing":                      func(string) []byte { return nil },
	"blanks":                       func(string) []byte { return bytes.Repeat([]byte(" \n"), 1<<20) },
	"a list":                       func(b string) []byte { return []byte("[" + with(b, "") + "]") },
	"a string":                     func(string) []byte { return []byte(`"hi"`) },
	"a number":                     func(string) []byte { return []byte(`1e400`) },
	"null":                         func(string) []byte { return []byte(`null`) },
	"half":                         func(b string) []byte { b = with(b, ""); return []byte(b[:len(b)/2]) },
	"two":                          func(b string) []byte { return []byte(with(b, "") + with(b, "")) },
	"more behind it":               func(b string) []byte { return []byte(with(b, "") + "garbage") },
	"a NUL behind it":              func(b string) []byte { return []byte(with(b, "") + "\x00") },
	"a comment":                    func(b string) []byte { return []byte("/* */" + with(b, "")) },
	"single quotes":                func(b string) []byte { return []byte(strings.ReplaceAll(with(b, ""), `"`, `'`)) },
	"UTF-16":                       func(b string) []byte { return wide(with(b, "")) },
	"bytes that are no UTF-8":      func(b string) []byte { return []byte(with(b, `,"x":"`+"\xff\xfe"+`"`)) },
	"an overlong character":        func(b string) []byte { return []byte(with(b, `,"x":"`+"\xc0\x80"+`"`)) },
	"a bare control character":     func(b string) []byte { return []byte(with(b, ",\"x\":\"\x01\"")) },
	"a broken escape":              func(b string) []byte { return []byte(with(b, `,"x":"\uZZZZ"`)) },
	"a member twice":               func(b string) []byte { return []byte(with(b, `,"`+first(b)+`":"other"`)) },
	"a member twice, once escaped": func(b string) []byte { return []byte(with(b, `,"`+escaped(first(b))+`":"other"`)) },
	"a name that is empty":         func(b string) []byte { return []byte(with(b, `,"":1`)) },
	"a name without end":           func(b string) []byte { return []byte(with(b, `,"`+strings.Repeat("x", 1<<20)+`":1`)) },
	"members without end":          func(b string) []byte { return []byte(with(b, many(`,"x%d":1`, 100_000))) },
	"open brackets":                func(string) []byte { return bytes.Repeat([]byte("["), 30<<20) },
	"open braces":                  func(string) []byte { return bytes.Repeat([]byte(`{"a":`), 6<<20) },
	"closed brackets":              func(b string) []byte { return []byte(with(b, `,"x":`+nest("[", "]", 200))) },
	"brackets after their ends":    func(string) []byte { return bytes.Repeat([]byte("]["), 10<<20) },
	"brackets behind a quote":      func(b string) []byte { return []byte(`{"x":"\"` + strings.Repeat("[", 10<<20)) },
	"braces as deep as it goes":    func(b string) []byte { return []byte(with(b, `,"x":`+nest(`{"a":`, "}", 129))) },
	"ends too many":                func(b string) []byte { return []byte(with(b, "") + "}") },
	"a missing colon":              func(b string) []byte { return []byte(with(b, `,"x" 1`)) },
	"a comma too many":             func(b string) []byte { return []byte(with(b, `,`)) },
	"no number":                    func(b string) []byte { return []byte(with(b, `,"temperature":NaN`)) },
	"a number with a plus":         func(b string) []byte { return []byte(with(b, `,"temperature":+1`)) },
	"a number with zeros":          func(b string) []byte { return []byte(with(b, `,"temperature":01`)) },
}

func with(body, more string) string { return strings.Replace(body, "MORE", more, 1) }

func first(body string) string { return body[2 : 2+strings.IndexByte(body[2:], '"')] }

func escaped(name string) string { return fmt.Sprintf(`\u%04x`, name[0]) + name[1:] }

func nest(open, closed string, n int) string {
	return strings.Repeat(open, n) + "1" + strings.Repeat(closed, n)
}

func many(format string, n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, format, i)
	}
	return s.String()
}

func wide(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, c := range []byte(s) {
		out = append(out, c, 0)
	}
	return out
}

// TestHostileBodies: each dialect refuses what is no request of its, in its own words, before anything is admitted.
func TestHostileBodies(t *testing.T) {
	n := newNode(t, nil)
	_, key := n.open("acme", "teams")
	calls, head := len(n.up.Calls()), n.head()
	for why, make := range hostile {
		for _, d := range doors {
			a := n.as(key).call("POST", d.path, string(make(d.body)))
			if a.status != 400 || a.text(d.message) == "" || len(a.body) > 4<<10 || !json.Valid(a.body) {
				t.Errorf("%s to %s: %d %.300s", why, d.path, a.status, a.body)
			}
		}
	}
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "gzip, gzip", "x-gzip", "compress", "aes128gcm", "identity, gzip"} {
		for _, d := range doors {
			if a := n.as(key).with("Content-Encoding", encoding).call("POST", d.path, with(d.body, "")).want(415); a.text(d.message) == "" {
				t.Errorf("%s to %s: %s", encoding, d.path, a.body)
			}
		}
	}
	for _, d := range doors { // each says its length, and none is sent
		c := n.dial()
		_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", d.path, key, 33<<20)
		n.must(err)
		n.must(c.(*net.TCPConn).CloseWrite())
		if b, _ := io.ReadAll(c); !bytes.Contains(b, []byte(" 413 ")) {
			t.Errorf("33 MiB to %s: %.300s", d.path, b)
		}
	}
	if len(hostile)*len(doors) < 40 || n.server.BodyBytes() != 0 {
		t.Errorf("%d bodies, %d bytes still counted", len(hostile)*len(doors), n.server.BodyBytes())
	}
	if len(n.up.Calls()) != calls || n.head() != head {
		t.Errorf("%d calls upstream, %d events", len(n.up.Calls())-calls, n.head()-head)
	}
	if strings.Contains(n.log.String(), "panic") {
		t.Errorf("%s", n.log)
	}
	for _, d := range doors {
		n.as(key).call("POST", d.path, with(d.body, "")).want(200)
	}
}

// TestHostileControl: so does the control API, as problems.
func TestHostileControl(t *testing.T) {
	n := newNode(t, nil)
	head := n.head()
	for why, make := range hostile {
		if why == "nothing" || why == "blanks" || why == "null" { // all fields have their default
			continue
		}
		for _, path := range []string{"/api/v1/orgs", "/api/v1/plans", "/api/v1/sql"} {
			a := n.as(operatorToken).call("POST", path, string(make(`{"name":"x"MORE}`)))
			if a.status != 400 && a.status != 413 || a.text("code") == "" || len(a.body) > 8<<10 {
				t.Errorf("%s to %s: %d %.300s", why, path, a.status, a.body)
			}
		}
	}
	if n.head() != head || strings.Contains(n.log.String(), "panic") {
		t.Errorf("%d events; %s", n.head()-head, n.log)
	}
}

// TestWhatGoesUpstream: of a caller's headers nothing goes upstream but what its dialect takes there, and of the upstream's answer
// nothing comes back but what is the provider's own.
func TestWhatGoesUpstream(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	up := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		h := w.Header()
		for name, value := range map[string]string{"Set-Cookie": "session=theirs", "Location": "https://evil.example", "Server": "theirs", "Keep-Alive": "timeout=1", "Proxy-Authenticate": "Basic",
			"Connection": "x-ratelimit-hop , Keep-Alive", "X-Ratelimit-Hop": "1", "X-Ratelimit-Limit-Requests": "7", "Anthropic-Ratelimit-Requests-Limit": "7", "Openai-Processing-Ms": "7", "Alt-Svc": `h3=":443"`,
			"Access-Control-Allow-Origin": "*", "Strict-Transport-Security": "max-age=1", "Content-Security-Policy": "default-src *", "Waybill-Charge": "9", "Waybill-Model": "forged", "Content-Disposition": "attachment",
			"X-Request-Id": "theirs", "Request-Id": "theirs", "Refresh": "0; url=https://evil.example", "Clear-Site-Data": `"*"`, "Www-Authenticate": "Basic", "Trailer": "X-Ratelimit-Late"} {
			h.Set(name, value)
		}
		switch {
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"data":[],"models":[]}`)
		case strings.Contains(r.URL.Path, "/messages"):
			_, _ = io.WriteString(w, `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`)
		case strings.Contains(r.URL.Path, "generateContent"):
			_, _ = io.WriteString(w, `{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}`)
		default:
			_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		}
	}
	s := newUpstream(t, up)
	n := newNode(t, nil)
	_, key := n.open("acme", "teams")
	for i, provider := range []string{"openai", "anthropic", "google"} {
		n.as(operatorToken).call("POST", "/api/v1/orgs/acme/credentials", fmt.Sprintf(`{"provider":%q,"secret":"sk-own-%d","use":"only","base_url":%q}`, provider, i, s)).want(201)
	}
	seen = nil
	for _, d := range []struct{ path, body, own string }{
		{doors[0].path, with(doors[0].body, ""), "Authorization"}, {doors[2].path, with(doors[2].body, ""), "X-Api-Key"}, {doors[3].path, with(doors[3].body, ""), "X-Goog-Api-Key"},
	} {
		p := n.as(key)
		for name, value := range map[string]string{"Cookie": "mine=1", "X-Forwarded-For": "10.9.8.7", "X-Real-Ip": "10.9.8.7", "Forwarded": "for=10.9.8.7", "Via": "1.1 proxy", "Proxy-Authorization": "Basic zq", "Te": "trailers",
			"Upgrade": "h2c", "Origin": "https://mine.example", "Referer": "https://mine.example", "User-Agent": "zq-agent", "X-Api-Key": key, "X-Goog-Api-Key": key, "Openai-Organization": "org-zq", "Openai-Project": "zq",
			"X-Stainless-Os": "zq", "Waybill-Metadata": "team=zq", "Traceparent": "00-zq", "X-Goog-User-Project": "zq", "Idempotency-Key": "zq-" + d.path, "Anthropic-Beta": "zq-hop", "Connection": "Anthropic-Beta, X-Y", "X-Y": "zq"} {
			p = p.with(name, value)
		}
		a := p.call("POST", d.path, d.body).want(200)
		sent := seen[len(seen)-1]
		takes := []string{"Accept", "Accept-Encoding", "Anthropic-Version", "Content-Length", "Content-Type", "User-Agent", "X-Client-Request-Id", d.own}
		for name, values := range sent {
			if !slices.Contains(takes, name) || strings.Contains(strings.Join(values, " "), "zq") || strings.Contains(strings.Join(values, " "), key) {
				t.Errorf("%s: %s: %q goes upstream", d.path, name, values)
			}
		}
		if !strings.Contains(sent.Get(d.own), "sk-own-") {
			t.Errorf("%s: %v", d.path, sent)
		}
		back := []string{"Content-Type", "Content-Length", "Date", "X-Request-Id", "Request-Id", "X-Ratelimit-Limit-Requests", "Anthropic-Ratelimit-Requests-Limit", "Openai-Processing-Ms",
			"Waybill-Request", "Waybill-Model", "Waybill-Credential", "Waybill-Attempts", "Waybill-Billing", "Waybill-Charge", "Waybill-Warning", "Waybill-Output-Cap",
			"X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Cache-Control"}
		for name, values := range a.header {
			if !slices.Contains(back, name) {
				t.Errorf("%s: %s: %q comes back", d.path, name, values)
			}
		}
		if a.header.Get("Waybill-Charge") != "0.000000" || a.header.Get("Waybill-Model") == "forged" || strings.Contains(a.header.Get("Content-Security-Policy"), "*") {
			t.Errorf("%s: %v", d.path, a.header)
		}
	}
}

// TestEchoes: what is said back of what a caller or an upstream wrote cannot end a header and begin another.
func TestEchoes(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) {})
	_, key := n.open("acme", "teams")
	n.as(operatorToken).call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","secret":"sk-own","use":"prefer"}`).want(201)
	url, _, served := n.listen()
	n.url = url
	for _, evil := range []string{"a\r\nSet-Cookie: x=1", "a\nSet-Cookie: x=1", "a\rSet-Cookie: x=1", "a\x00b", "a\x7fb", "a\u2028Set-Cookie: x=1", "ünïcödé", "a\x0bSet-Cookie: x=1"} {
		for _, model := range []string{"openai/" + evil, evil} {
			for _, d := range doors[:3] {
				var m map[string]any
				n.must(json.Unmarshal([]byte(with(d.body, "")), &m))
				m["model"], m["user"] = model, evil
				body := mustJSON(t, m)
				raw := n.exchange(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", d.path, key, len(body), body))
				head, _, _ := strings.Cut(raw, "\r\n\r\n")
				if strings.Contains(head, "\nSet-Cookie") || strings.ContainsAny(head, "\x00\x7f") || strings.Contains(head, "\rSet") || !strings.HasPrefix(head, "HTTP/1.1 ") {
					t.Errorf("%q to %s: %q", model, d.path, head)
				}
			}
		}
	}
	n.must(n.server.Close())
	n.must(<-served)
}

func newUpstream(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
