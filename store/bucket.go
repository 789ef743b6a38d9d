package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
	"github.com/benbjohnson/litestream/s3"
)

// Bucket is a place in S3, or in a store that speaks as it does.
type Bucket struct {
	Name, Path      string
	Region          string // none: that of the bucket is asked for; with an endpoint, us-east-1
	Endpoint        string // none: Amazon's
	AccessKeyID     string // none: as the AWS clients find it: environment, shared file, the machine's role
	SecretAccessKey Secret
	PathStyle       bool // the bucket's name is in the path, not in the host
}

// String is the place, for people; no key is in it.
func (b *Bucket) String() string {
	s := "s3://" + b.Name
	if b.Path != "" {
		s += "/" + b.Path
	}
	if b.Endpoint != "" {
		s += " at " + b.Endpoint
	}
	return s
}

// host takes the host of an s3:// URL, which some stores use to say more than the bucket's name. What a key of its own says counts.
func (b *Bucket) host(host string) error {
	name, region, endpoint, _ := s3.ParseHost(host)
	if name == "" {
		return errors.New("the url names no bucket: write s3://bucket/path")
	}
	b.Name = name
	b.Region, b.Endpoint = cmp.Or(b.Region, region), cmp.Or(b.Endpoint, endpoint)
	return nil
}

func (b *Bucket) check() error {
	switch {
	case b.Name == "":
		return errors.New("a replica of type s3 has a bucket, or a url: s3://bucket/path")
	case strings.Contains(b.Name, "/"):
		return errors.New("bucket is a name: what comes after it is the path")
	case b.Path == "" || strings.HasPrefix(b.Path, "/") || strings.HasSuffix(b.Path, "/"):
		return errors.New("a replica in a bucket has a path there, with no slash at its ends")
	case (b.AccessKeyID == "") != b.SecretAccessKey.IsZero():
		return errors.New("access-key-id and secret-access-key come together, or neither does")
	}
	return nil
}

// client is one that has made no connection yet: the first call does.
func (b *Bucket) client() litestream.ReplicaClient {
	c := s3.NewReplicaClient()
	c.Bucket, c.Path, c.Region, c.Endpoint, c.ForcePathStyle = b.Name, b.Path, b.Region, b.Endpoint, b.PathStyle
	c.AccessKeyID, c.SecretAccessKey = b.AccessKeyID, b.SecretAccessKey.Reveal()
	if c.AccessKeyID == "" && os.Getenv("AWS_ACCESS_KEY_ID") == "" { // these names are the litestream command's, the client finds its own
		c.AccessKeyID, c.SecretAccessKey = os.Getenv("LITESTREAM_ACCESS_KEY_ID"), os.Getenv("LITESTREAM_SECRET_ACCESS_KEY")
	}
	switch {
	case litestream.IsTigrisEndpoint(b.Endpoint):
		c.RequireContentMD5, c.Concurrency, c.PartSize = false, s3.DefaultTigrisConcurrency, s3.DefaultTigrisPartSize
	case litestream.IsCloudflareR2Endpoint(b.Endpoint):
		c.Concurrency = s3.DefaultR2Concurrency
	}
	return c
}

// client reaches the replica.
func (f ReplicatedFile) client(context.Context) (litestream.ReplicaClient, error) {
	return f.reach(nil)
}

// reach is client for the replica of a database that is open here: a folder's files have its owner and mode.
func (f ReplicatedFile) reach(r *litestream.Replica) (litestream.ReplicaClient, error) {
	if f.Bucket == nil {
		c := file.NewReplicaClient(f.Replica)
		c.Replica = r
		return c, nil
	}
	if os.Getenv("AWS_CA_BUNDLE") != "" {
		return nil, fmt.Errorf("%s: AWS_CA_BUNDLE is set, and litestream's S3 client fails with it: unset it for waybill, and name the certificates in SSL_CERT_FILE", f.Replica)
	}
	return f.Bucket.client(), nil
}

// Beside tells whether the replica is a folder on the same disk as a database, and so is lost with it. One that is not there yet is
// where its nearest folder is.
func (f ReplicatedFile) Beside() (bool, error) {
	if f.Bucket != nil {
		return false, nil
	}
	at := f.Replica
	for {
		if _, err := os.Stat(at); err == nil || filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	return sameDisk(at, filepath.Dir(f.Path))
}
