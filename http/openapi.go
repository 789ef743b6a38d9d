package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"waybill/ledger/secret"
	"waybill/router"
)

// object is a JSON object that is being written.
type object = map[string]any

// description is an OpenAPI document in the making.
type description struct {
	schemas object // by the name of the shape
	asked   bool   // the shape being described is a request's: what it needs is said by the errors, not by the schema
}

// pattern is the regular expression that a path's variable may carry in the table.
var pattern = regexp.MustCompile(`\{(\w+)(:[^}]*)?\}`)

// describe writes the table as an OpenAPI document: what is served and what is described cannot differ.
func describe(table []route, version string) ([]byte, error) {
	d := description{schemas: object{}}
	paths := map[string]object{}
	for _, r := range table {
		path := pattern.ReplaceAllString(r.path, "{$1}")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(r.method)] = d.operation(r)
	}
	b, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{"title": "Waybill", "version": version,
			"description": "Money is a decimal string of dollars, tokens are integers, times are RFC 3339. An org in a path is its id or its name. " +
				"A POST with an Idempotency-Key is done once. Errors under /api are RFC 9457 problems, with the class in code."},
		"security": []object{{"bearer": []string{}}},
		"paths":    paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer",
			"description": "a key (wbk_…), or the operator's token"}}},
	})
	if err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	return b, nil
}

func (d *description) operation(r route) object {
	op := object{"summary": r.summary, "description": "For " + r.who.String() + "."}
	if r.who <= scraper {
		op["security"] = []object{}
	}
	var parameters []object
	for _, m := range pattern.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if r.in != nil {
		for _, f := range reflect.VisibleFields(r.in) {
			if name := f.Tag.Get("query"); name != "" {
				parameters = append(parameters, object{"name": name, "in": "query", "description": f.Tag.Get("doc"), "schema": d.schema(f.Type)})
			}
		}
	}
	if r.method == http.MethodPost {
		parameters = append(parameters, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": 255},
			"description": "the same key and body again is answered as the first time, another body with 409"})
	}
	if r.who == inference && r.method == http.MethodPost {
		for _, name := range router.NarrowHeaders {
			parameters = append(parameters, object{"name": name, "in": "header", "schema": object{"type": "string"},
				"description": "narrows the org's policy for this call, as the member waybill of the body does; another Waybill- header is refused"})
		}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if r.method != http.MethodGet && r.in != nil && hasBody(r.in) {
		d.asked = true
		op["requestBody"] = object{"content": object{"application/json": object{"schema": d.schema(r.in)}}}
		d.asked = false
	}
	if r.in == nil && r.who == inference && r.method == http.MethodPost {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": object{"type": "object", "description": "as the dialect has it"}}}}
	}
	media, schema := "application/json", object{}
	if r.media != "" {
		media = r.media
	}
	if r.out != nil {
		schema = d.schema(r.out)
	}
	fault := object{"description": "an error in the dialect of the path"}
	if strings.HasPrefix(r.path, "/api/") {
		fault = object{"description": "a problem", "content": object{"application/problem+json": object{"schema": d.schema(reflect.TypeFor[Problem]())}}}
	}
	op["responses"] = object{strconv.Itoa(r.status): object{"description": "done", "content": object{media: object{"schema": schema}}}, "default": fault}
	return op
}

func hasBody(t reflect.Type) bool {
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("json") != "" {
			return true
		}
	}
	return false
}

// schema describes a shape. A struct gets a place among the schemas and is referred to from there.
func (d *description) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[Dollars]():
		return object{"type": "string", "format": "decimal", "description": "dollars", "example": "12.500000"}
	case reflect.TypeFor[Rate]():
		return object{"type": "string", "format": "decimal", "description": "dollars for a million tokens", "example": "2.500000"}
	case reflect.TypeFor[quantity]():
		return object{"type": []string{"string", "integer"}, "description": "dollars as a decimal string, or tokens as a whole number", "example": "5.000000"}
	case reflect.TypeFor[Time]():
		return object{"type": []string{"string", "null"}, "format": "date-time"}
	case reflect.TypeFor[secret.Text]():
		return object{"type": "string", "format": "password", "writeOnly": true}
	case reflect.TypeFor[cell]():
		return object{"type": []string{"string", "number", "null"}}
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	case reflect.TypeFor[document]():
		return object{"type": []string{"string", "object"}, "description": "a policy: its text, YAML or JSON, or itself as an object"}
	case reflect.TypeFor[router.Duration]():
		return object{"type": "string", "example": "1m30s"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		if inner, ok := t.FieldByName("value"); ok { // given: its value is what stands in the JSON
			return d.schema(inner.Type)
		}
		return d.reference(t)
	}
	panic("a shape of kind " + t.Kind().String() + " has no schema") // a row of the table that nobody has ever served
}

func (d *description) reference(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if known, ok := d.schemas[t.Name()].(object); ok {
		if d.asked {
			delete(known, "required")
		}
		return ref
	}
	properties, required := object{}, []string{}
	known := object{"type": "object", "properties": properties}
	d.schemas[t.Name()] = known
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		properties[name] = d.schema(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	if !d.asked && len(required) > 0 {
		known["required"] = required
	}
	return ref
}
