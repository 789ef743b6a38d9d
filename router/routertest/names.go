package routertest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a name server of a test's: for each name, ending in a dot, what it stands for at the first look-up, at the second and
// so on; the last stays. IPv6 addresses are those of the first. Any other name is not known.
type Names map[string][][]netip.Addr

// Addrs are the addresses of one look-up.
func Addrs(all ...string) (out []netip.Addr) {
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// Resolver starts the server, and gives who asks it.
func (n Names) Resolver(t testing.TB) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() { n.serve(conn) })
	t.Cleanup(func() {
		conn.Close()
		work.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n Names) serve(conn net.PacketConn) {
	turns := map[string]int{}
	for b := make([]byte, 4096); ; {
		size, from, err := conn.ReadFrom(b)
		if err != nil {
			return // closed
		}
		if answer, err := n.answer(b[:size], turns); err == nil {
			_, _ = conn.WriteTo(answer, from) // one who does not get it asks again
		}
	}
}

func (n Names) answer(query []byte, turns map[string]int) ([]byte, error) {
	var q dnsmessage.Message
	if err := q.Unpack(query); err != nil || len(q.Questions) != 1 {
		return nil, err
	}
	asked := q.Questions[0]
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	head := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class}
	name := strings.ToLower(asked.Name.String())
	looks, known := n[name]
	switch {
	case !known:
		a.RCode = dnsmessage.RCodeNameError
	case asked.Type == dnsmessage.TypeA:
		for _, ip := range looks[min(turns[name], len(looks)-1)] {
			if ip.Is4() {
				a.Answers = append(a.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
			}
		}
		turns[name]++
	case asked.Type == dnsmessage.TypeAAAA:
		for _, ip := range looks[0] {
			if ip.Is6() {
				a.Answers = append(a.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
			}
		}
	}
	return a.Pack()
}
