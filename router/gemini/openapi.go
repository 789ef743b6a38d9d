package gemini

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// fromOpenAPI makes a JSON schema of Gemini's Schema, a subset of OpenAPI 3.0's: types are in upper case, null is a flag
// beside the type, and the order of properties is a list of its own.
func fromOpenAPI(field string, v gjson.Result) (json.RawMessage, *router.FieldError) {
	if !v.IsObject() {
		return nil, wrong(field, "must be a schema")
	}
	o := openapi{out: router.NewObject(len(v.Raw) + 16)}
	if fault := members(v, field+".", o.keyword); fault != nil {
		return nil, fault
	}
	return o.end(), nil
}

// openapi is one schema being rewritten.
type openapi struct {
	out        *router.Object
	kind       string
	nullable   bool
	enum, any  []string // JSON
	properties gjson.Result
	order      []string
}

func (o *openapi) keyword(name, field string, v gjson.Result) *router.FieldError {
	switch name {
	case "type":
		kind, fault := str(field, v)
		o.kind = strings.ToLower(kind)
		return fault
	case "nullable":
		o.nullable = v.Bool()
	case "enum":
		v.ForEach(func(_, word gjson.Result) bool { o.enum = append(o.enum, word.Raw); return true })
	case "format":
		if v.Str != "enum" { // which marks what enum says already
			o.out.Raw("format", v.Raw)
		}
	case "example":
		o.out.Raw("examples", "["+v.Raw+"]")
	case "propertyOrdering":
		v.ForEach(func(_, word gjson.Result) bool { o.order = append(o.order, word.Str); return true })
	case "properties":
		if o.properties = v; !v.IsObject() {
			return wrong(field, "must be an object")
		}
	case "items":
		inner, fault := fromOpenAPI(field, v)
		o.out.Raw("items", string(inner))
		return fault
	case "anyOf":
		return each(v, field, func(i int, v gjson.Result) *router.FieldError {
			inner, fault := fromOpenAPI(item(field, i), v)
			o.any = append(o.any, string(inner))
			return fault
		})
	case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
		n, fault := whole(field, v, 0, 1<<53)
		o.out.Int(name, n)
		return fault
	case "minimum", "maximum":
		if _, err := strconv.ParseFloat(v.Str, 64); v.Type == gjson.String && err == nil {
			o.out.Raw(name, v.Str)
			return nil
		}
		o.out.Raw(name, v.Raw)
	default: // title, description, default, pattern, required are JSON Schema's own
		o.out.Member(router.Quote(name), v.Raw)
	}
	if name == "properties" {
		return o.writeProperties(field)
	}
	return nil
}

// writeProperties writes the properties as they come; end puts them into their order.
func (o *openapi) writeProperties(field string) (fault *router.FieldError) {
	w := router.NewObject(len(o.properties.Raw))
	o.properties.ForEach(func(key, v gjson.Result) bool {
		var inner json.RawMessage
		inner, fault = fromOpenAPI(field+"."+key.Str, v)
		w.Member(key.Raw, string(inner))
		return fault == nil
	})
	o.properties = gjson.ParseBytes(w.End())
	return fault
}

func (o *openapi) end() json.RawMessage {
	const null = `{"type":"null"}`
	if o.kind == "type_unspecified" {
		o.kind = ""
	}
	if o.kind != "" {
		kind := router.Quote(o.kind)
		if o.nullable && o.kind != "null" {
			kind = "[" + kind + `,"null"]`
		}
		o.out.Raw("type", kind)
	}
	if o.nullable && len(o.enum) > 0 && !slices.Contains(o.enum, "null") {
		o.enum = append(o.enum, "null")
	}
	if o.nullable && len(o.any) > 0 && !slices.Contains(o.any, null) {
		o.any = append(o.any, null)
	}
	if len(o.enum) > 0 {
		o.out.Raw("enum", "["+strings.Join(o.enum, ",")+"]")
	}
	if len(o.any) > 0 {
		o.out.Raw("anyOf", "["+strings.Join(o.any, ",")+"]")
	}
	if o.properties.Exists() {
		o.out.Raw("properties", ordered(o.properties, o.order))
	}
	return o.out.End()
}

// ordered is an object with the members of a list first, in its order.
func ordered(object gjson.Result, order []string) string {
	if len(order) == 0 {
		return object.Raw
	}
	type property struct{ key, value string }
	var names []string
	all := map[string]property{}
	object.ForEach(func(key, v gjson.Result) bool {
		names = append(names, key.Str)
		all[key.Str] = property{key.Raw, v.Raw}
		return true
	})
	w := router.NewObject(len(object.Raw))
	for _, name := range append(order, names...) {
		if p, ok := all[name]; ok {
			w.Member(p.key, p.value)
			delete(all, name)
		}
	}
	return string(w.End())
}
