package router

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Bounds of an object in a request.
const (
	maxMembers = 256 // so that looking for members named twice stays cheap
	maxName    = 128 // bytes of a member's name
)

// Members reads an object of a request member by member; at is where it stands,
// for example "stream_options.". Null is no value. A member named twice is refused: our reader takes one of the two and
// the upstream's may take the other, and then the cap that was paid for would not be the cap that counts.
func Members(object gjson.Result, at string, read func(name string, v gjson.Result) *FieldError) (fault *FieldError) {
	seen := make([]string, 0, 32)
	object.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str == "":
			fault = &FieldError{Field: at + `""`, Reason: "is not the name of a field"}
		case len(key.Str) > maxName:
			name := strings.ToValidUTF8(key.Str[:maxName], "")
			fault = &FieldError{Field: at + name, Reason: fmt.Sprintf("goes on beyond %d bytes", maxName)}
		case slices.Contains(seen, key.Str):
			fault = &FieldError{Field: at + key.Str, Reason: "is given twice"}
		case len(seen) == maxMembers:
			fault = &FieldError{Field: at + key.Str, Reason: fmt.Sprintf("is one of more than %d fields", maxMembers)}
		case value.Type != gjson.Null: // null is how some clients leave a field out
			fault = read(key.Str, value)
		}
		seen = append(seen, key.Str)
		return fault == nil
	})
	return fault
}

// Given tells whether an object has a member with a value: null is none.
func Given(object gjson.Result, name string) bool {
	return object.Get(name).Type != gjson.Null
}

// StringField reads a string.
func StringField(name string, v gjson.Result) (string, *FieldError) {
	if v.Type != gjson.String {
		return "", &FieldError{Field: name, Reason: "must be a string"}
	}
	return v.Str, nil
}

// BoolField reads true or false.
func BoolField(name string, v gjson.Result) (bool, *FieldError) {
	if !v.IsBool() {
		return false, &FieldError{Field: name, Reason: "must be true or false"}
	}
	return v.Bool(), nil
}

// Strings are the strings of a list.
func Strings(list gjson.Result) (out []string) {
	list.ForEach(func(_, s gjson.Result) bool {
		out = append(out, s.String())
		return true
	})
	return out
}

// maxModel bounds a model's name, in bytes.
const maxModel = 256

// ModelField reads the name of a model.
func ModelField(v gjson.Result) (string, *FieldError) {
	model, fault := StringField("model", v)
	if len(model) > maxModel {
		fault = &FieldError{Field: "model", Reason: fmt.Sprintf("is longer than %d bytes", maxModel)}
	}
	return model, fault
}

// NumberField reads a number within bounds.
func NumberField(name string, v gjson.Result, low, high float64) (*float64, *FieldError) {
	if v.Type != gjson.Number {
		return nil, &FieldError{Field: name, Reason: "must be a number"}
	}
	if v.Num < low || v.Num > high {
		return nil, &FieldError{Field: name, Reason: fmt.Sprintf("must be between %g and %g", low, high)}
	}
	return &v.Num, nil
}

// IntField reads a whole number within bounds.
func IntField(name string, v gjson.Result, low, high int64) (int64, *FieldError) {
	if v.Type != gjson.Number {
		return 0, &FieldError{Field: name, Reason: "must be a whole number"}
	}
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	switch {
	case err != nil:
		return 0, &FieldError{Field: name, Reason: "must be a whole number within 64 bits"}
	case n < low:
		return 0, &FieldError{Field: name, Reason: fmt.Sprintf("must be at least %d", low)}
	case n > high:
		return 0, &FieldError{Field: name, Reason: fmt.Sprintf("must be at most %d", high)}
	}
	return n, nil
}

// Optional makes a number that may be absent of one that was read.
func Optional(n int64, fault *FieldError) (*int64, *FieldError) { return &n, fault }
