package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// config is how a node is set up. Nothing in it is secret but the operator's token, which no file and no flag carries.
type config struct {
	listen        string // host:port of the HTTP server
	data          string // folder
	masterKeyFile string
	upstreams     map[string]router.Provider // what the file adds to the known providers, or says of one of them
	baseURL       map[string]string          // by provider; none: the provider's own
	drainTimeout  time.Duration              // how long calls may go on after the node was told to stop
	recovery      ledger.Rule
	tls           encryption
	allowPrivate  []netip.Prefix // networks that base URLs which orgs set may lead into
	litestream    string         // file; none: no replica
	durability    durability
	drillInterval time.Duration // between trials of a restore from the replica; 0: none
	timeouts      timeouts
	signInterval  time.Duration // between two checkpoints of a log that grows

	operatorToken secret.Text            // what init would make
	platform      map[string]secret.Text // provider to secret: credentials of the platform at first start
}

// timeouts bound an attempt at an upstream.
type timeouts struct {
	connect   time.Duration // until the connection stands
	firstByte time.Duration // of a streamed answer
	idle      time.Duration // between two bytes of an answer
	total     time.Duration // a whole attempt
	abandoned time.Duration // how long an answer is read on after its caller has left
}

// environment is the variables that a program was started with.
type environment map[string]string

// Format hides the values: some are secrets.
func (e environment) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[%d variables]", len(e)) }

// environ reads them from the form in which a process has them. Of two the later one counts, as for a child process.
func environ(pairs []string) environment {
	e := environment{}
	for _, p := range pairs {
		if name, value, ok := strings.Cut(p, "="); ok {
			e[name] = value
		}
	}
	return e
}

// setting is one name by which the file, the environment and the flags set the same thing.
type setting struct {
	key   string // in waybill.yml, dotted; none: not there
	env   string
	flag  string // none: no flag
	about string
	set   func(*config, string) error
}

// settings are those that have a name of their own in the file.
func settings() []setting { return append(tlsSettings(), nodeSettings...) }

var nodeSettings = []setting{
	{"listen", "WAYBILL_LISTEN", "listen", "`HOST:PORT` to serve on (default 127.0.0.1:8080)", func(c *config, v string) error {
		if _, _, err := net.SplitHostPort(v); err != nil {
			return fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:8080", v)
		}
		c.listen = v
		return nil
	}},
	{"data", "WAYBILL_DATA", "data", "data folder `DIR` (default ./data)", func(c *config, v string) error {
		if v == "" {
			return errors.New("it is empty: name a folder, such as ./data")
		}
		c.data = filepath.Clean(v)
		return nil
	}},
	{"master_key_file", "WAYBILL_MASTER_KEY_FILE", "", "", func(c *config, v string) error {
		c.masterKeyFile = v
		return nil
	}},
	{"drain_timeout", "WAYBILL_DRAIN_TIMEOUT", "drain-timeout", "how `LONG` open calls may go on after SIGTERM (default 30s)",
		period(func(c *config) *time.Duration { return &c.drainTimeout })},
	{"recovery", "WAYBILL_RECOVERY", "recovery", "`RULE` for calls that a crash interrupted: void, or capture_held (default void)",
		func(c *config, v string) error {
			if r := ledger.Rule(v); r != ledger.RuleVoid && r != ledger.RuleCaptureHeld {
				return fmt.Errorf("%q is neither void (the org owes nothing) nor capture_held (it owes what was held)", v)
			}
			c.recovery = ledger.Rule(v)
			return nil
		}},
	{"allow_private", "WAYBILL_ALLOW_PRIVATE", "allow-private", "`NETWORKS` that base URLs of orgs' own credentials may lead into, such as 10.1.0.0/16,fd12::/48 (default none)",
		func(c *config, v string) (err error) {
			c.allowPrivate, err = networks(v)
			return err
		}},
	{"litestream", "WAYBILL_LITESTREAM", "litestream", "litestream.yml `FILE` that names the replica; empty for none (default ./litestream.yml, if there is one)",
		func(c *config, v string) error {
			c.litestream = v
			if v == "" {
				return nil
			}
			_, err := os.Stat(v)
			return err
		}},
	{"drill_interval", "WAYBILL_DRILL_INTERVAL", "", "", func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a time such as 24h, nor 0 for none", v)
		}
		c.drillInterval = d
		return nil
	}},
	{"durability", "WAYBILL_DURABILITY", "durability", "`MODE` of answers: local, durable on this machine's disk; money, for what moves credit in the replica too; replicated, for everything (default local)",
		func(c *config, v string) error {
			switch d := durability(v); d {
			case durableHere, durableMoney, durableAll:
				c.durability = d
				return nil
			}
			return fmt.Errorf("%q is not known: it is local, money or replicated", v)
		}},
	{"checkpoint_interval", "WAYBILL_CHECKPOINT_INTERVAL", "", "", period(func(c *config) *time.Duration { return &c.signInterval })},
	{"timeouts.connect", "WAYBILL_TIMEOUT_CONNECT", "", "", period(func(c *config) *time.Duration { return &c.timeouts.connect })},
	{"timeouts.first_byte", "WAYBILL_TIMEOUT_FIRST_BYTE", "", "", period(func(c *config) *time.Duration { return &c.timeouts.firstByte })},
	{"timeouts.idle", "WAYBILL_TIMEOUT_IDLE", "", "", period(func(c *config) *time.Duration { return &c.timeouts.idle })},
	{"timeouts.total", "WAYBILL_TIMEOUT_TOTAL", "", "", period(func(c *config) *time.Duration { return &c.timeouts.total })},
	{"timeouts.abandoned", "WAYBILL_TIMEOUT_ABANDONED", "", "", period(func(c *config) *time.Duration { return &c.timeouts.abandoned })},
	{"", "WAYBILL_OPERATOR_TOKEN", "", "", func(c *config, v string) error {
		if len(v) < minToken {
			return fmt.Errorf("a token of %d characters can be guessed: use at least %d", len(v), minToken)
		}
		if wbhttp.KeyLike(v) || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return errors.New("a token is of visible ASCII characters, without spaces, and does not begin as keys do: no header could carry it, or it would be taken for a key")
		}
		c.operatorToken = secret.New(v)
		return nil
	}},
}

// minToken is the shortest operator's token that an operator may choose, in characters.
const minToken = 20

func period(of func(*config) *time.Duration) func(*config, string) error {
	return func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is not a time such as 30s or 5m", v)
		}
		*of(c) = d
		return nil
	}
}

// networks reads a list such as 10.1.0.0/16,127.0.0.1. An address is the network of itself alone.
func networks(list string) (all []netip.Prefix, err error) {
	for _, s := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' }) {
		p, err := netip.ParsePrefix(s)
		if ip, e := netip.ParseAddr(s); e == nil && ip.Zone() == "" {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || p.Masked() != p {
			return nil, fmt.Errorf("%q is not a network such as 10.1.0.0/16, nor an address", s)
		}
		all = append(all, p)
	}
	return all, nil
}

// file is waybill.yml. What it does not name keeps its default.
type file struct {
	Listen        *string             `yaml:"listen"`
	Data          *string             `yaml:"data"`
	MasterKeyFile *string             `yaml:"master_key_file"`
	Upstreams     map[string]upstream `yaml:"upstreams"`
	DrainTimeout  *string             `yaml:"drain_timeout"`
	Recovery      *string             `yaml:"recovery"`
	AllowPrivate  *string             `yaml:"allow_private"`
	TLS           struct {
		Domain    *string `yaml:"domain"`
		Directory *string `yaml:"directory"`
		Cert      *string `yaml:"cert"`
		Key       *string `yaml:"key"`
	} `yaml:"tls"`
	Litestream    *string `yaml:"litestream"`
	DrillInterval *string `yaml:"drill_interval"`
	Durability    *string `yaml:"durability"`
	Checkpoints   *string `yaml:"checkpoint_interval"`
	Timeouts      struct {
		Connect   *string `yaml:"connect"`
		FirstByte *string `yaml:"first_byte"`
		Idle      *string `yaml:"idle"`
		Total     *string `yaml:"total"`
		Abandoned *string `yaml:"abandoned"`
	} `yaml:"timeouts"`
}

// values are the file's settings by their dotted keys.
func (f *file) values() map[string]*string {
	return map[string]*string{
		"listen": f.Listen, "data": f.Data, "master_key_file": f.MasterKeyFile,
		"drain_timeout": f.DrainTimeout, "recovery": f.Recovery, "allow_private": f.AllowPrivate, "litestream": f.Litestream, "drill_interval": f.DrillInterval, "durability": f.Durability, "checkpoint_interval": f.Checkpoints,
		"tls.domain": f.TLS.Domain, "tls.directory": f.TLS.Directory, "tls.cert": f.TLS.Cert, "tls.key": f.TLS.Key,
		"timeouts.connect": f.Timeouts.Connect, "timeouts.first_byte": f.Timeouts.FirstByte, "timeouts.idle": f.Timeouts.Idle,
		"timeouts.total": f.Timeouts.Total, "timeouts.abandoned": f.Timeouts.Abandoned,
	}
}

const (
	defaultConfigFile     = "waybill.yml"
	defaultLitestreamFile = "litestream.yml"
)

// defaults is the configuration of a node of which nothing is said.
func defaults() config {
	return config{
		listen: "127.0.0.1:8080", data: "data", drainTimeout: 30 * time.Second, recovery: ledger.RuleVoid, durability: durableHere, signInterval: time.Minute, drillInterval: 24 * time.Hour,
		timeouts:  timeouts{connect: 5 * time.Second, firstByte: time.Minute, idle: time.Minute, total: 10 * time.Minute, abandoned: 30 * time.Second},
		upstreams: map[string]router.Provider{}, baseURL: map[string]string{}, platform: map[string]secret.Text{},
	}
}

// configure reads the defaults, the file, the environment and the flags that were given, in this order.
func configure(given map[string]string, env environment) (config, error) {
	c := defaults()
	c.listen = "" // by what else is said
	if _, err := os.Stat(defaultLitestreamFile); err == nil {
		c.litestream = defaultLitestreamFile
	}
	f, name, err := readFile(given)
	if err != nil {
		return c, err
	}
	for _, provider := range slices.Sorted(maps.Keys(f.Upstreams)) {
		if err := c.setUpstream(provider, f.Upstreams[provider]); err != nil {
			return c, fmt.Errorf("%s: upstreams.%s: %w", name, provider, err)
		}
	}
	values := f.values()
	for _, s := range append(settings(), upstreamSettings()...) {
		if v := values[s.key]; v != nil {
			if err := s.set(&c, *v); err != nil {
				return c, fmt.Errorf("%s: %s: %w", name, s.key, err)
			}
		}
		if v, ok := env[s.env]; ok {
			if err := s.set(&c, v); err != nil {
				return c, fmt.Errorf("environment variable %s: %w", s.env, err)
			}
		}
		if v, ok := given[s.flag]; ok && s.flag != "" {
			if err := s.set(&c, v); err != nil {
				return c, misused("--%s: %v", s.flag, err)
			}
		}
	}
	if err := c.tls.check(); err != nil {
		return c, err
	}
	if c.listen == "" {
		c.listen = defaults().listen
		if c.tls.domain != "" {
			c.listen = httpsListen
		}
	}
	if c.masterKeyFile == "" {
		c.masterKeyFile = keyFileOf(c.data)
	}
	return c, nil
}

// flagsAlone is the defaults and what flags say.
func flagsAlone(given map[string]string, _ environment) (config, error) {
	c := defaults()
	for _, s := range settings() {
		if v, ok := given[s.flag]; ok && s.flag != "" {
			if err := s.set(&c, v); err != nil {
				return c, misused("--%s: %v", s.flag, err)
			}
		}
	}
	return c, nil
}

// keyFileOf is where the master key of a data folder stands unless it is said otherwise: beside the folder, not in it.
func keyFileOf(data string) string {
	data = filepath.Clean(data)
	if base := filepath.Base(data); base == "." || base == ".." {
		if whole, err := filepath.Abs(data); err == nil {
			data = whole
		}
	}
	return data + ".key"
}

// readFile reads the file that is named, or the default one if it is there.
func readFile(given map[string]string) (f file, name string, err error) {
	name, named := given["config"]
	if !named {
		name = defaultConfigFile
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return f, name, nil
	}
	if err != nil {
		return f, name, fmt.Errorf("configuration: %w", err)
	}
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return f, name, misplaced(name, err)
	}
	return f, name, nil
}
