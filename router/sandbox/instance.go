package sandbox

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Instance is the JSON value that the sandbox makes up for a JSON Schema (or one of
// Google's OpenAPI kind): every property is there, in the schema's order, down to
// a depth from which on optional ones are left out. n tells several values for one schema apart.
// Of patterns and formats it knows the formats of dates, addresses and identifiers.
func Instance(schema string, n int) string {
	in := &instancer{root: gjson.Parse(schema), n: n}
	in.value(in.views(in.root, 0), "value", 0)
	return in.b.String()
}

const (
	optionalDepth = 5  // from here on only what is required
	deepest       = 24 // from here on null, so that a schema which requires itself ends
)

type instancer struct {
	root gjson.Result
	n    int
	b    strings.Builder
}

// views are a schema and all that it refers to or is composed of: the first that has a keyword
// says what it is.
func (in *instancer) views(schema gjson.Result, depth int) []gjson.Result {
	if !schema.IsObject() || depth > deepest {
		return nil
	}
	all := []gjson.Result{schema}
	if ref := schema.Get("$ref").Str; ref != "" {
		all = append(all, in.views(in.resolve(ref), depth+1)...)
	}
	list(schema.Get("allOf"), func(part gjson.Result) { all = append(all, in.views(part, depth+1)...) })
	for _, word := range []string{"anyOf", "oneOf"} {
		if variants := schema.Get(word); variants.IsArray() {
			all = append(all, in.views(in.variant(variants.Array()), depth+1)...)
		}
	}
	return all
}

// variant is the first alternative that is not null.
func (in *instancer) variant(of []gjson.Result) gjson.Result {
	for _, v := range of {
		if !strings.EqualFold(v.Get("type").Str, "null") {
			return v
		}
	}
	return gjson.Result{}
}

// resolve follows a reference within the document.
func (in *instancer) resolve(ref string) gjson.Result {
	v := in.root
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return gjson.Result{}
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part != "" {
			v = member(v, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
	}
	return v
}

// member is a field by its exact name, which for gjson would be a pattern.
func member(v gjson.Result, name string) (found gjson.Result) {
	v.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
			return false
		}
		return true
	})
	return found
}

func pick(views []gjson.Result, word string) gjson.Result {
	for _, v := range views {
		if got := v.Get(word); got.Exists() {
			return got
		}
	}
	return gjson.Result{}
}

// kindWanted is a schema's type in lower case, guessed where it has none.
func kindWanted(views []gjson.Result) string {
	t := pick(views, "type")
	for _, word := range words(t) {
		if word = strings.ToLower(word); word != "null" {
			return word
		}
	}
	switch {
	case t.Exists():
		return "null"
	case pick(views, "properties").Exists() || pick(views, "additionalProperties").IsObject():
		return "object"
	case pick(views, "items").Exists() || pick(views, "prefixItems").Exists():
		return "array"
	}
	return "string"
}

func (in *instancer) value(views []gjson.Result, name string, depth int) {
	if depth > deepest {
		in.b.WriteString("null")
		return
	}
	if fixed := pick(views, "const"); fixed.Exists() {
		in.b.WriteString(fixed.Raw)
		return
	}
	if first := pick(views, "enum").Get("0"); first.Exists() {
		in.b.WriteString(first.Raw)
		return
	}
	switch kindWanted(views) {
	case "object":
		in.object(views, depth)
	case "array":
		in.array(views, name, depth)
	case "integer":
		in.b.WriteString(strconv.FormatFloat(in.number(views, 7, 1), 'f', -1, 64))
	case "number":
		in.b.WriteString(strconv.FormatFloat(in.number(views, 2.5, 0), 'f', -1, 64))
	case "boolean":
		in.b.WriteString(strconv.FormatBool(in.n%2 == 0))
	case "null":
		in.b.WriteString("null")
	default:
		in.b.Write(jsonText(in.text(views, name)))
	}
}

// property is one field of an object to make.
type property struct {
	name   string
	schema gjson.Result
}

func (in *instancer) object(views []gjson.Result, depth int) {
	var fields []property
	var required, order []string
	for _, v := range views {
		v.Get("properties").ForEach(func(key, schema gjson.Result) bool {
			if !slices.ContainsFunc(fields, func(p property) bool { return p.name == key.Str }) {
				fields = append(fields, property{key.Str, schema})
			}
			return true
		})
		required = append(required, words(v.Get("required"))...)
		order = append(order, words(v.Get("propertyOrdering"))...)
	}
	if len(order) > 0 {
		slices.SortStableFunc(fields, func(a, b property) int { return slices.Index(order, a.name) - slices.Index(order, b.name) })
	}
	if extra := pick(views, "additionalProperties"); len(fields) == 0 && extra.IsObject() {
		fields = append(fields, property{"key", extra})
	}
	in.b.WriteByte('{')
	for i := 0; len(fields) > 0; fields = fields[1:] {
		f := fields[0]
		if depth >= optionalDepth && !slices.Contains(required, f.name) {
			continue
		}
		if i++; i > 1 {
			in.b.WriteByte(',')
		}
		in.b.Write(jsonText(f.name))
		in.b.WriteByte(':')
		in.value(in.views(f.schema, 0), f.name, depth+1)
	}
	in.b.WriteByte('}')
}

func (in *instancer) array(views []gjson.Result, name string, depth int) {
	prefix := pick(views, "prefixItems").Array()
	n := max(2, len(prefix))
	if depth >= optionalDepth {
		n = len(prefix)
	}
	if most := pick(views, "maxItems"); most.Exists() {
		n = min(n, int(most.Int()))
	}
	n = min(max(n, int(pick(views, "minItems").Int())), 1000)
	in.b.WriteByte('[')
	for i := range n {
		if i > 0 {
			in.b.WriteByte(',')
		}
		item := pick(views, "items")
		if i < len(prefix) {
			item = prefix[i]
		}
		in.value(in.views(item, 0), name+" "+strconv.Itoa(i+1), depth+1)
	}
	in.b.WriteByte(']')
}

// number is usual, or what the bounds allow; step 1 makes it whole.
func (in *instancer) number(views []gjson.Result, usual, step float64) float64 {
	n := usual + float64(in.n)
	if multiple := pick(views, "multipleOf").Num; multiple > 0 {
		step = multiple
		n = math.Ceil(n/step) * step
	}
	tick := step
	if tick == 0 {
		tick = 0.5
	}
	low, high := pick(views, "minimum"), pick(views, "maximum")
	above, below := pick(views, "exclusiveMinimum"), pick(views, "exclusiveMaximum")
	ceil := func(v float64) float64 {
		if step > 0 {
			return math.Ceil(v/step) * step
		}
		return v
	}
	floor := func(v float64) float64 {
		if step > 0 {
			return math.Floor(v/step) * step
		}
		return v
	}
	if high.Exists() && n > high.Num {
		n = floor(high.Num)
	}
	if below.Type == gjson.Number && n >= below.Num {
		n = floor(below.Num - tick)
	}
	if low.Exists() && n < low.Num {
		n = ceil(low.Num)
	}
	if above.Type == gjson.Number && n <= above.Num {
		n = ceil(above.Num + tick)
	}
	return n
}

// formats are texts that have the named form.
var formats = map[string]string{
	"date": "2026-11-25", "date-time": "2026-11-25T12:00:00Z", "time": "12:00:00Z", "duration": "PT5M", "email": "quay@example.com",
	"hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.com/a?b=c", "uuid": "0c9a8a5e-5f0e-4c7e-9d3a-2b1f6a7c8d9e",
}

// text is full of what needs escaping, unless a format or a length forbids it.
func (in *instancer) text(views []gjson.Result, name string) string {
	text := formats[pick(views, "format").Str]
	if text == "" {
		text = name + ` "é" \ 日本 <🚢>`
		if in.n > 0 {
			text += " " + strconv.Itoa(in.n+1)
		}
	}
	runes := []rune(text)
	if most := pick(views, "maxLength"); most.Exists() && len(runes) > int(most.Int()) {
		runes = runes[:max(0, int(most.Int()))]
	}
	if least := min(int(pick(views, "minLength").Int()), 10_000); len(runes) < least {
		runes = append(runes, []rune(strings.Repeat("x", least-len(runes)))...)
	}
	return string(runes)
}

// jsonText is a text as JSON, in UTF-8.
func jsonText(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil || !utf8.ValidString(text) {
		return []byte(`""`) // no string that came out of JSON gets here
	}
	replacer := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
	return []byte(replacer.Replace(string(b)))
}
