package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/goccy/go-yaml/ast"
)

// ReplicaConfig is what waybill reads of a litestream.yml: the part that says where each database is copied to, how
// often, and for how long old copies are kept.
type ReplicaConfig struct {
	Databases   []ReplicatedFile
	Levels      []time.Duration // how often each level above the first is compacted
	L0Retention time.Duration   // how long single transactions are kept once they are compacted
	Log         *slog.Logger    // nil: slog.Default; only warnings and errors are logged

	patience time.Duration // 0: the constant of that name
	apart    time.Duration // 0: roundsApart
}

// ReplicatedFile is one database and its replica.
type ReplicatedFile struct {
	Path         string        // absolute
	Replica      string        // folder, absolute; or what its bucket is called
	SyncInterval time.Duration // longest wait before a change goes to the replica
	Snapshot     time.Duration // interval of full copies
	Retention    time.Duration // how long a full copy is kept
	Bucket       *Bucket       // nil: the replica is a folder
}

// What a file that is silent means. Retention is longer than the litestream command's day, since a replica that forgets
// in a day is gone before a long weekend is over; the vault's is short, so that a detached secret is soon gone there too.
const (
	defaultSync           = time.Second
	defaultSnapshot       = 24 * time.Hour
	defaultRetention      = 30 * 24 * time.Hour
	defaultVaultSnapshot  = time.Hour
	defaultVaultRetention = 24 * time.Hour
	defaultL0Retention    = time.Hour
	maxLevels             = litestream.SnapshotLevel - 1
)

var defaultLevels = []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour}

// ReadReplicaConfig reads a litestream.yml. As for the litestream command, relative paths in it start at the working
// directory. What waybill would not do as the file says is an error with line and column.
func ReadReplicaConfig(path string) (*ReplicaConfig, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the replicas: %w", err)
	}
	return parseReplicaConfig(path, text)
}

// snapshots is a section that the file may have at the top and in a database.
type snapshots struct{ interval, retention time.Duration }

func parseReplicaConfig(name string, text []byte) (*ReplicaConfig, error) {
	y, err := parseYAML(name, expand(text, os.LookupEnv))
	if err != nil {
		return nil, err
	}
	c := &ReplicaConfig{Levels: defaultLevels, L0Retention: defaultL0Retention}
	var all snapshots
	var own []snapshots
	var at ast.Node
	err = y.mapping("the file", y.root, map[string]field{
		"snapshot":     func(n ast.Node) error { return y.snapshots(n, &all) },
		"l0-retention": func(n ast.Node) (err error) { c.L0Retention, err = y.duration("l0-retention", n); return err },
		"levels": func(n ast.Node) error {
			c.Levels = nil
			return y.sequence("levels", n, func(n ast.Node) error {
				d, err := y.level(n)
				c.Levels = append(c.Levels, d)
				return err
			})
		},
		"dbs": func(n ast.Node) error {
			at = n
			return y.sequence("dbs", n, func(n ast.Node) error {
				db, s, err := y.database(n)
				c.Databases, own = append(c.Databases, db), append(own, s)
				return err
			})
		},
	})
	if err != nil {
		return nil, err
	}
	if len(c.Databases) == 0 {
		return nil, fmt.Errorf("%s: dbs names no database", name)
	}
	for i := range c.Databases {
		c.Databases[i].keep(own[i], all)
	}
	if len(c.Levels) == 0 || len(c.Levels) > maxLevels {
		return nil, fmt.Errorf("%s: levels has %d entries, where it may have 1 to %d", name, len(c.Levels), maxLevels)
	}
	if err := c.distinct(); err != nil {
		return nil, y.errorf(at, "%w", err)
	}
	return c, nil
}

// keep takes the first that is said: for the database, for all of them, by waybill.
func (f *ReplicatedFile) keep(own, all snapshots) {
	interval, retention := defaultSnapshot, defaultRetention
	if filepath.Base(f.Path) == vaultFile {
		interval, retention = defaultVaultSnapshot, defaultVaultRetention
	}
	f.Snapshot = cmp.Or(own.interval, all.interval, interval)
	f.Retention = cmp.Or(own.retention, all.retention, retention)
}

// distinct holds two databases apart: in one folder their files would overwrite each other.
func (c *ReplicaConfig) distinct() error {
	seen := map[string]string{}
	for _, db := range c.Databases {
		for _, p := range []string{db.Path, db.Replica} {
			if of, ok := seen[p]; ok {
				return fmt.Errorf("%s has two uses, for %s and for %s", p, of, db.Path)
			}
			seen[p] = db.Path
		}
	}
	return nil
}

func (y *yamlFile) level(n ast.Node) (d time.Duration, err error) {
	err = y.mapping("a level", n, map[string]field{
		"interval": func(n ast.Node) (err error) { d, err = y.duration("interval", n); return err },
	})
	if err == nil && d == 0 {
		err = y.errorf(n, "a level has an interval")
	}
	return d, err
}

func (y *yamlFile) snapshots(n ast.Node, s *snapshots) error {
	return y.mapping("snapshot", n, map[string]field{
		"interval":  func(n ast.Node) (err error) { s.interval, err = y.duration("interval", n); return err },
		"retention": func(n ast.Node) (err error) { s.retention, err = y.duration("retention", n); return err },
	})
}

func (y *yamlFile) database(n ast.Node) (db ReplicatedFile, own snapshots, err error) {
	replica := false
	err = y.mapping("a database", n, map[string]field{
		"path": func(n ast.Node) error {
			s, err := y.text("path", n)
			if err == nil {
				db.Path, err = y.path("path", n, s)
			}
			return err
		},
		"snapshot": func(n ast.Node) error { return y.snapshots(n, &own) },
		"replica":  func(n ast.Node) error { replica = true; return y.replica(n, &db) },
	})
	if err == nil && db.Path == "" {
		err = y.errorf(n, "this database has no path")
	}
	if err == nil && !replica {
		err = y.errorf(n, "this database has no replica")
	}
	return db, own, err
}

// replica reads where a database is copied to: a folder, or a bucket.
func (y *yamlFile) replica(n ast.Node, db *ReplicatedFile) error {
	db.SyncInterval = defaultSync
	var kind, path, address string
	var b Bucket
	at := map[string]ast.Node{}
	text := func(key string, to *string) field {
		return func(n ast.Node) (err error) {
			at[key] = n
			*to, err = y.text(key, n)
			return err
		}
	}
	err := y.mapping("a replica", n, map[string]field{
		"type":          text("type", &kind),
		"path":          text("path", &path),
		"url":           text("url", &address),
		"bucket":        text("bucket", &b.Name),
		"region":        text("region", &b.Region),
		"endpoint":      text("endpoint", &b.Endpoint),
		"access-key-id": text("access-key-id", &b.AccessKeyID),
		"secret-access-key": func(n ast.Node) error {
			at["secret-access-key"] = n
			s, err := y.text("secret-access-key", n)
			b.SecretAccessKey = NewSecret(s)
			return err
		},
		"force-path-style": func(n ast.Node) (err error) {
			at["force-path-style"] = n
			b.PathStyle, err = y.boolean("force-path-style", n)
			return err
		},
		"sync-interval": func(n ast.Node) (err error) { db.SyncInterval, err = y.duration("sync-interval", n); return err },
	})
	if err != nil {
		return err
	}
	scheme := ""
	if address != "" {
		if path != "" || b.Name != "" {
			return y.errorf(n, "a replica has either a url, or a path and what else it takes")
		}
		if scheme, err = y.address(at["url"], address, &path, &b); err != nil {
			return err
		}
		if kind != "" && kind != scheme {
			return y.errorf(at["type"], "the type is %s, and the url is one of %s", kind, scheme)
		}
		kind = scheme
	}
	switch kind {
	case "", "file":
		for _, key := range []string{"bucket", "region", "endpoint", "access-key-id", "secret-access-key", "force-path-style"} {
			if n := at[key]; n != nil {
				return y.errorf(n, "%s is for a replica of type s3, and this one is a folder", key)
			}
		}
		if path == "" {
			return y.errorf(n, "a replica has either a path or a url")
		}
		db.Replica, err = y.path("path", cmp.Or(at["path"], at["url"]), path)
		return err
	case "s3":
		b.Path = path
		if at["force-path-style"] == nil {
			b.PathStyle = b.Endpoint != "" // only Amazon has the bucket in the host
		}
		if err := b.check(); err != nil {
			return y.errorf(cmp.Or(at["url"], n), "%w", err)
		}
		db.Bucket, db.Replica = &b, b.String()
		return nil
	}
	return y.errorf(at["type"], "replicas of type %s are not built in: this waybill replicates to a folder, type file, and to S3, type s3", kind)
}

// path makes a path absolute, as the litestream command does.
func (y *yamlFile) path(key string, n ast.Node, s string) (string, error) {
	if s == "~" || strings.HasPrefix(s, "~/") {
		return "", y.errorf(n, "%s begins with ~, which waybill does not expand: write the path out", key)
	}
	if strings.HasPrefix(s, "sqlite:") || strings.HasPrefix(s, "sqlite3:") || litestream.IsURL(s) {
		return "", y.errorf(n, "%s is a URL: write a path", key)
	}
	abs, err := filepath.Abs(s)
	if err != nil {
		return "", y.errorf(n, "%s: %w", key, err)
	}
	return abs, nil
}

// address takes a URL apart: of a folder, or of a bucket.
func (y *yamlFile) address(n ast.Node, address string, path *string, b *Bucket) (scheme string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", y.errorf(n, "url: %w", errors.Unwrap(err)) // without the URL, which may hold a password
	}
	switch {
	case u.Scheme == "":
		return "", y.errorf(n, "url has no scheme: write file:///folder, or path: folder")
	case u.Scheme != "file" && u.Scheme != "s3":
		return "", y.errorf(n, "replicas at %s:// are not built in: this waybill replicates to a folder, file://, and to S3, s3://", u.Scheme)
	case u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return "", y.errorf(n, "the url has more than a path: write endpoint, region and the keys on lines of their own")
	case u.Scheme == "file" && (u.Host != "" || !filepath.IsAbs(u.Path)):
		return "", y.errorf(n, "a file URL has three slashes and an absolute path: file:///folder")
	case u.Scheme == "file":
		*path = filepath.Clean(u.Path)
	default:
		*path = litestream.CleanReplicaURLPath(u.Path)
		if err := b.host(u.Host); err != nil {
			return "", y.errorf(n, "%w", err)
		}
	}
	return u.Scheme, nil
}
