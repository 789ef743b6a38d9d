package router

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// Object writes one JSON object, member by member, without touching what it is given.
type Object struct{ b []byte }

// NewObject makes one with room for size bytes.
func NewObject(size int) *Object { return &Object{append(make([]byte, 0, size), '{')} }

// Member appends a member whose key and value are JSON already.
func (o *Object) Member(key, value string) {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, key...), ':'), value...)
}

// Raw appends a member whose value is JSON already.
func (o *Object) Raw(name, value string) { o.Member(`"`+name+`"`, value) }

// String appends a string.
func (o *Object) String(name, value string) { o.Raw(name, Quote(value)) }

// Int appends a whole number.
func (o *Object) Int(name string, n int64) { o.Raw(name, strconv.FormatInt(n, 10)) }

// End is the whole object.
func (o *Object) End() []byte { return append(o.b, '}') }

// Quote makes a JSON string.
func Quote(s string) string { return string(gjson.AppendJSONString(nil, s)) }
