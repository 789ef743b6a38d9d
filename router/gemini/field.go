package gemini

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

func wrong(field, reason string) *router.FieldError {
	return &router.FieldError{Field: field, Reason: reason}
}

// camel is a field's name as protobuf's JSON writes it: it reads the name in the description, in snake case, too.
func camel(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	var b strings.Builder
	up := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			up = true
		case up && 'a' <= c && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
			up = false
		default:
			b.WriteByte(c)
			up = false
		}
	}
	return b.String()
}

// members reads an object member by member: by the name in camel case, and by where the caller wrote it. Both spellings
// of one name are one member.
func members(object gjson.Result, at string, read func(name, field string, v gjson.Result) *router.FieldError) *router.FieldError {
	if !object.IsObject() {
		return wrong(strings.TrimSuffix(at, "."), "must be an object")
	}
	seen := make([]string, 0, 8)
	return router.Members(object, at, func(written string, v gjson.Result) *router.FieldError {
		name := camel(written)
		if slices.Contains(seen, name) {
			return wrong(at+written, "is given twice")
		}
		seen = append(seen, name)
		return read(name, at+written, v)
	})
}

// each reads a list. An object or a string in its place is a list of one.
func each(list gjson.Result, field string, read func(i int, v gjson.Result) *router.FieldError) (fault *router.FieldError) {
	switch {
	case list.Type == gjson.Null:
		return nil
	case list.IsObject() || list.Type == gjson.String:
		return read(0, list)
	case !list.IsArray():
		return wrong(field, "must be a list")
	}
	i := 0
	list.ForEach(func(_, v gjson.Result) bool {
		fault = read(i, v)
		i++
		return fault == nil
	})
	return fault
}

// item names a place in a list.
func item(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// member reads a member of an object in either spelling, without a judgement of the rest.
func member(object gjson.Result, name string) (found gjson.Result) {
	object.ForEach(func(key, v gjson.Result) bool {
		if camel(key.Str) == name && v.Type != gjson.Null {
			found = v
		}
		return !found.Exists()
	})
	return found
}

// str reads a string.
func str(field string, v gjson.Result) (string, *router.FieldError) {
	return router.StringField(field, v)
}

// number reads a number, in quotes or not.
func number(field string, v gjson.Result, low, high float64) (*float64, *router.FieldError) {
	if n, err := strconv.ParseFloat(v.Str, 64); v.Type == gjson.String && err == nil && !math.IsNaN(n) {
		v = gjson.Result{Type: gjson.Number, Num: n, Raw: v.Str}
	}
	return router.NumberField(field, v, low, high)
}

// whole reads a whole number, in quotes or not. Python's client writes top_k as 40.0.
func whole(field string, v gjson.Result, low, high int64) (int64, *router.FieldError) {
	n, fault := number(field, v, math.Inf(-1), math.Inf(1))
	switch {
	case fault != nil:
		return 0, wrong(field, "must be a whole number")
	case *n != math.Trunc(*n):
		return 0, wrong(field, "must be a whole number")
	case *n < float64(low) || *n > float64(high):
		return 0, wrong(field, fmt.Sprintf("must be between %d and %d", low, high))
	}
	return int64(*n), nil
}

// flag reads true or false.
func flag(field string, v gjson.Result) (bool, *router.FieldError) { return router.BoolField(field, v) }
