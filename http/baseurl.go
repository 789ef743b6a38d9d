package http

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// baseURL takes the address of an upstream. An org may send its secret to any public host by TLS, but must not make the
// node call into its own network, unless the operator allows that network; the operator may name any host. What a name stands for
// is looked up here so that a mistake shows at once, and judged again by each connection that is made.
func (c *call) baseURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || len(s) > 512 || !printable(s) || !validPort(u) {
		return "", invalid("base_url", "must be an address such as https://llm.example.com/v1, in ASCII, without credentials, query or fragment")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && c.nearby(u.Hostname())) {
		return "", invalid("base_url", "must begin with https://, or the secret would be readable on its way")
	}
	if !c.operator {
		if err := c.fenced(u.Hostname()); err != nil {
			return "", err
		}
	}
	return strings.TrimRight(s, "/"), nil
}

// printable tells whether a text is of visible ASCII. Other letters are made into these on the way to a host, which is then not the
// one that was judged.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' || c == '%' })
}

func validPort(u *url.URL) bool {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" && !strings.HasSuffix(u.Host, ":") || err == nil && n > 0
}

// nearby tells whether what is sent to a host without TLS stays where the operator wants it: on this machine, or in a network that
// the operator has allowed by its addresses.
func (c *call) nearby(host string) bool {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "localhost":
		ip = loopback
	case err != nil:
		return false
	}
	f := c.s.o.Dispatcher.Fencing()
	return c.operator && ip.Unmap().IsLoopback() || slices.ContainsFunc(f.Allow, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

// fenced refuses a host that an org may not have the node call.
func (c *call) fenced(host string) error {
	refused := invalid("base_url", "must be a public host: its name must be known and stand for a public address, unless the operator allows the network that it is in")
	_, err := netip.ParseAddr(host)
	if host != "localhost" && err != nil && !publicName(host) || c.s.o.Dispatcher.Fencing().Look(c, host) != nil {
		return refused
	}
	return nil
}

// privateNames are the last parts of names that private networks use, by RFC 6761, 6762, 8375 and habit.
var privateNames = []string{"localhost", "local", "localdomain", "internal", "intranet", "private", "lan", "home", "corp", "arpa", "onion", "test", "invalid"}

// publicName refuses names that are none of the public Internet's, whatever the node's resolver would make of them.
func publicName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	numeric := strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") // 127.1, 0x7f.1: forms of addresses that resolvers take
	return strings.Contains(host, ".") && !numeric && !slices.Contains(privateNames, last)
}
