package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// kind is a set of JSON types. An integer is also a number.
type kind uint8

const (
	kindString kind = 1 << iota
	kindInteger
	kindNumber
	kindBoolean
	kindObject
	kindArray
	kindNull
)

// shape says what a JSON value may be. The request schemas of the three
// providers are shapes; they are data, so that strictness can be read in one
// place and each provider only words the complaint.
type shape struct {
	kinds kind

	low, high   float64 // inclusive bounds of a number, if bounded
	bounded     bool
	enum        []string // of a string
	least, most int      // length of an array, entries of an object, runes of a string; most 0 is no limit

	items    *shape           // of an array
	fields   map[string]field // of an object; nil is any
	required []string

	tag      string            // the field that chooses among variants
	variants map[string]*shape // "" serves an absent tag, "*" an unknown one
}

type field struct {
	shape    *shape
	required int // 1 + index in shape.required; 0 is optional
}

// problem is what is wrong with a value.
type problem uint8

const (
	problemMissing problem = iota + 1
	problemUnknown
	problemType
	problemLow
	problemHigh
	problemEnum
	problemShort
	problemLong
)

// violation is the first place where a body leaves its shape.
type violation struct {
	problem problem
	path    []string // innermost first; an array index is "[i]"
	shape   *shape   // what was wanted; nil for an unknown field
	got     gjson.Result
}

var (
	anyText    = &shape{kinds: kindString}
	anyInteger = &shape{kinds: kindInteger}
	anyBool    = &shape{kinds: kindBoolean}
	anyObject  = &shape{kinds: kindObject}
	anyArray   = &shape{kinds: kindArray}
	anyValue   = &shape{kinds: kindString | kindInteger | kindNumber | kindBoolean | kindObject | kindArray | kindNull}
	someText   = &shape{kinds: kindString, least: 1}
)

func numberFrom(low, high float64) *shape {
	return &shape{kinds: kindInteger | kindNumber, low: low, high: high, bounded: true}
}

func integerFrom(low, high float64) *shape {
	return &shape{kinds: kindInteger, low: low, high: high, bounded: true}
}

func oneOf(words ...string) *shape { return &shape{kinds: kindString, enum: words} }

func textUpTo(runes int) *shape { return &shape{kinds: kindString, most: runes} }

// listOf is an array of least to most items; most 0 is no limit.
func listOf(items *shape, least, most int) *shape {
	return &shape{kinds: kindArray, items: items, least: least, most: most}
}

// fields maps names to shapes; a name that ends in "!" is required.
type fields map[string]*shape

// object is a closed object: no field but these.
func object(f fields) *shape {
	s := &shape{kinds: kindObject, fields: make(map[string]field, len(f))}
	for _, name := range slices.Sorted(maps.Keys(f)) { // in order, so that the first complaint is always the same
		bare, must := strings.CutSuffix(name, "!")
		slot := field{shape: f[name]}
		if must {
			s.required = append(s.required, bare)
			slot.required = len(s.required)
		}
		s.fields[bare] = slot
	}
	return s
}

// variants is an object whose shape depends on the string in its field tag.
func variants(tag string, of map[string]*shape) *shape {
	return &shape{kinds: kindObject, tag: tag, variants: of}
}

// either joins shapes of different kinds: text or a list, say.
func either(text *shape, other *shape) *shape {
	s := *other
	s.kinds |= text.kinds
	s.enum = text.enum
	return &s
}

// orNull also allows an explicit null.
func orNull(of *shape) *shape {
	s := *of
	s.kinds |= kindNull
	return &s
}

// checker walks a value along a shape.
type checker struct {
	lenient      bool                // unknown fields are no error
	nullIsAbsent bool                // an optional field may be null (OpenAI, Gemini)
	rename       func(string) string // other spelling of a field (Gemini's snake_case), or nil
}

func (c checker) check(v gjson.Result, s *shape) *violation {
	k := kindOf(v)
	if k&s.kinds == 0 {
		return &violation{problem: problemType, shape: s, got: v}
	}
	switch k {
	case kindString:
		return checkString(v, s)
	case kindNumber, kindInteger | kindNumber:
		return checkNumber(v, s)
	case kindArray:
		return c.checkArray(v, s)
	case kindObject:
		return c.checkObject(v, s)
	}
	return nil
}

func kindOf(v gjson.Result) kind {
	switch v.Type {
	case gjson.String:
		return kindString
	case gjson.True, gjson.False:
		return kindBoolean
	case gjson.Number:
		if strings.ContainsAny(v.Raw, ".eE") {
			return kindNumber
		}
		return kindInteger | kindNumber
	case gjson.JSON:
		if v.IsArray() {
			return kindArray
		}
		return kindObject
	}
	return kindNull
}

func checkString(v gjson.Result, s *shape) *violation {
	if len(s.enum) > 0 {
		for _, word := range s.enum {
			if v.Str == word {
				return nil
			}
		}
		return &violation{problem: problemEnum, shape: s, got: v}
	}
	if s.kinds&kindArray != 0 {
		return nil // least and most are the list's
	}
	if len(v.Str) < s.least {
		return &violation{problem: problemShort, shape: s, got: v}
	}
	if s.most > 0 && len(v.Str) > s.most && len([]rune(v.Str)) > s.most {
		return &violation{problem: problemLong, shape: s, got: v}
	}
	return nil
}

func checkNumber(v gjson.Result, s *shape) *violation {
	if !s.bounded {
		return nil
	}
	if v.Num < s.low {
		return &violation{problem: problemLow, shape: s, got: v}
	}
	if v.Num > s.high {
		return &violation{problem: problemHigh, shape: s, got: v}
	}
	return nil
}

func (c checker) checkArray(v gjson.Result, s *shape) *violation {
	var bad *violation
	n := 0
	v.ForEach(func(_, item gjson.Result) bool {
		if s.items != nil {
			if bad = c.check(item, s.items); bad != nil {
				bad.path = append(bad.path, "["+strconv.Itoa(n)+"]")
				return false
			}
		}
		n++
		return true
	})
	switch {
	case bad != nil:
		return bad
	case n < s.least:
		return &violation{problem: problemShort, shape: s, got: v}
	case s.most > 0 && n > s.most:
		return &violation{problem: problemLong, shape: s, got: v}
	}
	return nil
}

func (c checker) checkObject(v gjson.Result, s *shape) *violation {
	if s.variants != nil {
		return c.checkVariant(v, s)
	}
	if s.fields == nil && s.items == nil && s.most == 0 {
		return nil
	}
	var bad *violation
	var seen uint64
	n := 0
	v.ForEach(func(key, value gjson.Result) bool {
		n++
		if s.fields == nil {
			if s.items != nil {
				bad = c.check(value, s.items)
			}
		} else {
			bad = c.checkField(key.Str, value, s, &seen)
		}
		if bad != nil {
			bad.path = append(bad.path, key.Str)
			return false
		}
		return true
	})
	if bad != nil {
		return bad
	}
	if s.most > 0 && n > s.most {
		return &violation{problem: problemLong, shape: s, got: v}
	}
	for i, name := range s.required {
		if seen&(1<<i) == 0 {
			return &violation{problem: problemMissing, shape: s.fields[name].shape, path: []string{name}}
		}
	}
	return nil
}

func (c checker) checkField(name string, value gjson.Result, s *shape, seen *uint64) *violation {
	slot, ok := s.fields[name]
	if !ok && c.rename != nil {
		slot, ok = s.fields[c.rename(name)]
	}
	if !ok && c.lenient {
		return nil
	}
	if !ok {
		return &violation{problem: problemUnknown, got: value}
	}
	if slot.required == 0 && c.nullIsAbsent && value.Type == gjson.Null {
		return nil
	}
	if slot.required > 0 {
		*seen |= 1 << (slot.required - 1)
	}
	return c.check(value, slot.shape)
}

func (c checker) checkVariant(v gjson.Result, s *shape) *violation {
	tag := v.Get(s.tag)
	if !tag.Exists() {
		if of, ok := s.variants[""]; ok {
			return c.check(v, of)
		}
		return &violation{problem: problemMissing, path: []string{s.tag}, shape: anyText}
	}
	if tag.Type != gjson.String {
		return &violation{problem: problemType, path: []string{s.tag}, shape: anyText, got: tag}
	}
	of, ok := s.variants[tag.Str]
	if !ok || tag.Str == "" || tag.Str == "*" {
		if of, ok = s.variants["*"]; !ok {
			return &violation{problem: problemEnum, path: []string{s.tag}, shape: oneOf(s.tags()...), got: tag}
		}
	}
	return c.check(v, of)
}

// tags lists a variant shape's names in order.
func (s *shape) tags() []string {
	names := slices.Sorted(maps.Keys(s.variants))
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == "*" })
}

// brackets is the path as OpenAI and Gemini print it: messages[0].content.
func (v *violation) brackets() string {
	var b strings.Builder
	for i := len(v.path) - 1; i >= 0; i-- {
		if b.Len() > 0 && !strings.HasPrefix(v.path[i], "[") {
			b.WriteByte('.')
		}
		b.WriteString(v.path[i])
	}
	return b.String()
}

// dots is the path as Anthropic prints it: messages.0.content.
func (v *violation) dots() string {
	var b strings.Builder
	for i := len(v.path) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.Trim(v.path[i], "[]"))
	}
	return b.String()
}
