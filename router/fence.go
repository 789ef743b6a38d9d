package router

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fence keeps calls to the base URLs that orgs set away from the node's own networks. What a name stands for is judged where
// each connection is made, address by address: a name may stand for another address by then than when it was set.
type Fence struct {
	Allow    []netip.Prefix // networks that may be called all the same: the operator says so
	Resolver *net.Resolver  // nil: the system's
	Client   *http.Client   // makes the calls
}

// NewFence makes a fence whose calls must connect within a time.
func NewFence(allow []netip.Prefix, resolver *net.Resolver, connect time.Duration) *Fence {
	f := &Fence{Allow: allow, Resolver: resolver}
	dialer := net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second, Resolver: resolver, Control: f.control}
	f.Client = newClient(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		return c, bare(err)
	}, connect)
	return f
}

// ErrFenced is a base URL whose host may not be called. It is the same for a name that nobody knows: else whoever sets base URLs
// could ask what names there are in the operator's networks.
var ErrFenced = errors.New("the host of the base URL has no public address")

// bare leaves out of an error where the operator's resolver is and what it said.
func bare(err error) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok || errors.Is(err, ErrFenced) {
		return ErrFenced
	}
	return err
}

// control refuses an address that is about to be connected to. The dialer goes on with the next one of the name.
func (f *Fence) control(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") || !f.allows(at.Addr()) {
		return ErrFenced
	}
	return nil
}

// lookTime bounds how long a name is looked up before a base URL is taken.
const lookTime = 5 * time.Second

// Look tells whether calls could reach a host now: an address that is allowed, or a name that stands for one at least.
func (f *Fence) Look(ctx context.Context, host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if !f.allows(ip) {
			return ErrFenced
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	all, err := cmp.Or(f.Resolver, net.DefaultResolver).LookupNetIP(ctx, "ip", host)
	if err != nil || !slices.ContainsFunc(all, f.allows) {
		return ErrFenced
	}
	return nil
}

// allows tells whether an address may be called: a public one, or one of a network that the operator allows.
func (f *Fence) allows(ip netip.Addr) bool {
	return public(ip) || slices.ContainsFunc(f.Allow, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

// strictFence is that of a dispatcher which was given none.
var strictFence = sync.OnceValue(func() *Fence { return NewFence(nil, nil, 5*time.Second) })

// Fencing is the dispatcher's fence; one that is not there, as on a node that makes no calls, has the strict one.
func (d *Dispatcher) Fencing() *Fence {
	if d != nil && d.Fence != nil {
		return d.Fence
	}
	return strictFence()
}

// client is who makes calls to a base URL.
func (d *Dispatcher) client(fenced bool) *http.Client {
	if fenced {
		return d.Fencing().Client
	}
	return d.Client
}

// public tells whether an address is one of the public Internet's, behind which there can be no network of the operator's. What
// carries an IPv4 address within it is as public as that.
func public(ip netip.Addr) bool {
	if ip.Zone() != "" { // a place on one of this machine's own links
		return false
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return within(ip, unicast4) && !within(ip, special4)
	}
	if nat64.Contains(ip) { // of a network without IPv4, whose resolver puts public hosts there too
		b := ip.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	return within(ip, unicast6) && !within(ip, special6)
}

func within(ip netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// The networks of IANA's registries of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry, and what lies outside global unicast.
var (
	unicast4 = prefixes("0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3") // neither multicast nor reserved
	special4 = prefixes(
		"0.0.0.0/8",                   // this network; 0.0.0.0 is this machine
		"10.0.0.0/8", "172.16.0.0/12", // private
		"192.168.0.0/16",
		"100.64.0.0/10",      // shared, behind a provider's NAT; also a cloud's metadata
		"127.0.0.0/8",        // loopback
		"169.254.0.0/16",     // link-local, and most clouds' metadata
		"168.63.129.16/32",   // a cloud's host, as its guests see it
		"192.0.0.0/24",       // protocol assignments; also a cloud's metadata
		"192.0.2.0/24",       // documentation
		"192.88.99.0/24",     // relays to 6to4
		"198.18.0.0/15",      // benchmarks
		"198.51.100.0/24",    // documentation
		"203.0.113.0/24",     // documentation
		"255.255.255.255/32") // everybody on the link
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
	unicast6 = prefixes("2000::/3")
	special6 = prefixes(
		"2001::/23",     // protocol assignments: Teredo, benchmarks, ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address of which nobody knows what is behind it
		"3fff::/20")     // documentation
)
