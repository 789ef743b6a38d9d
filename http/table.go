package http

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"waybill/ledger"
)

// routes is the one table of all that is served.
func routes() []route {
	table := append(healthRoutes(), chat("/v1/chat/completions", "OpenAI chat completions", ledger.DialectOpenAIChat))
	table = append(table, modelRoutes()...)
	table = append(table, orgRoutes()...)
	table = append(table, keyRoutes()...)
	table = append(table, credentialRoutes()...)
	table = append(table, creditRoutes()...)
	return append(table, route{method: http.MethodGet, path: "/api/v1/openapi.json", summary: "This description", who: public, status: http.StatusOK,
		media: "application/json", serve: func(s *Server, _ *call, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(s.openapi) // a caller who has left reads nothing
		}})
}

// describe writes the table as an OpenAPI document.
func describe(table []route, version string) []byte {
	paths := map[string]map[string]any{}
	for _, t := range table {
		path, _, pattern := strings.Cut(t.path, ":")
		if pattern {
			path += "}"
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		media := t.media
		if media == "" {
			media = "application/json"
		}
		answer := map[string]any{"description": "done", "content": map[string]any{media: map[string]any{"schema": schemaOf(t.out)}}}
		op := map[string]any{"summary": t.summary, "description": "Open to " + t.who.String() + ".",
			"responses": map[string]any{strconv.Itoa(t.status): answer, "default": map[string]any{"description": "an error, RFC 9457 under /api"}}}
		if t.in != nil && t.method != http.MethodGet {
			op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": schemaOf(t.in)}}}
		}
		paths[path][strings.ToLower(t.method)] = op
	}
	b, err := json.MarshalIndent(map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": "waybill", "version": version}, "paths": paths}, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and maps of them: a bug of ours
	}
	return b
}

// schemaOf describes a shape by its fields' names.
func schemaOf(t reflect.Type) map[string]any {
	if t == nil || t.Kind() != reflect.Struct {
		return map[string]any{}
	}
	fields := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = map[string]any{"description": f.Type.String()}
		}
	}
	return map[string]any{"type": "object", "properties": fields}
}
