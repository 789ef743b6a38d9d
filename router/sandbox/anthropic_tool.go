package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// readTools reads the tools, the choice among them and the schema of the answer.
func (anthropicHearer) readTools(v gjson.Result, p *prompt) (bad *fault) {
	list(v.Get("tools"), func(t gjson.Result) {
		at := fmt.Sprintf("tools.%d", p.tools)
		p.tools++
		p.addRaw(t.Raw)
		name, schema := t.Get("name").Str, t.Get("input_schema")
		switch {
		case bad != nil || t.Get("type").Exists() && t.Get("type").Str != "custom":
		case !nameOK.MatchString(name):
			bad = anthropicFault("%s.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", at)
		case !p.offer(name, schema.Raw):
			bad = anthropicFault("tools: Tool names must be unique.")
		case !schema.Get("type").Exists():
			bad = anthropicFault("%s.custom.input_schema.type: Field required", at)
		case schema.Get("type").Str != "object":
			bad = anthropicFault("%s.custom.input_schema.type: Input should be 'object'", at)
		case t.Get("strict").Bool():
			bad = closedSchema(schema, at+".custom.input_schema", 0)
		}
	})
	choice := v.Get("tool_choice")
	p.choice.single = choice.Get("disable_parallel_tool_use").Bool()
	switch choice.Get("type").Str {
	case "none":
		p.choice.none = true
	case "any":
		p.choice.forced = true
	case "tool":
		name := choice.Get("name").Str
		p.choice.forced, p.choice.allowed = true, []string{name}
		if bad == nil && !slices.ContainsFunc(p.offered, func(t tool) bool { return t.name == name }) {
			bad = anthropicFault("tool_choice.name: Tool '%s' not found in provided tools", name)
		}
	}
	if schema := v.Get("output_config.format.schema"); schema.Exists() && bad == nil {
		p.schema = schema.Raw
		bad = closedSchema(schema, "output_config.format.schema", 0)
	}
	return bad
}

// anthropicBounds are keywords that Anthropic does not enforce, and therefore refuses where it
// shall enforce a schema.
var anthropicBounds = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems"}

// closedSchema checks a schema that Anthropic shall enforce.
func closedSchema(schema gjson.Result, at string, depth int) (bad *fault) {
	if !schema.IsObject() || depth > 64 {
		return nil
	}
	if (schema.Get("type").Str == "object" || schema.Get("properties").Exists()) && schema.Get("additionalProperties").Type != gjson.False {
		return anthropicFault("%s: For 'object' type, 'additionalProperties' must be explicitly set to false", at)
	}
	for _, word := range anthropicBounds {
		if schema.Get(word).Exists() {
			return anthropicFault("%s: For '%s' type, property '%s' is not supported", at, schema.Get("type").String(), word)
		}
	}
	for _, word := range []string{"properties", "$defs", "anyOf", "allOf"} {
		schema.Get(word).ForEach(func(key, part gjson.Result) bool {
			bad = closedSchema(part, at+"."+word+"."+key.String(), depth+1)
			return bad == nil
		})
		if bad != nil {
			return bad
		}
	}
	return closedSchema(schema.Get("items"), at+".items", depth+1)
}

var anthropicImages = []string{"image/jpeg", "image/png", "image/gif", "image/webp"}

// anthropicMedia reads an image or a document.
func anthropicMedia(block gjson.Result, at string) (line string, bad *fault) {
	kind, source := block.Get("type").Str, block.Get("source")
	at += "." + kind + ".source"
	mediaType := source.Get("media_type").Str
	switch source.Get("type").Str {
	case "url":
		url := source.Get("url").Str
		if !strings.HasPrefix(url, "https://") {
			return "", anthropicFault("%s.url.url: Only HTTPS URLs are supported.", at)
		}
		return MediaURL(kind, url), nil
	case "file":
		return MediaURL(kind, source.Get("file_id").Str), nil
	case "text":
		if kind == "image" {
			return "", anthropicFault("%s.type: Input should be 'base64', 'url' or 'file'", at)
		}
		return Media(mediaType, []byte(source.Get("data").Str)), nil
	}
	data, err := decodeBase64(source.Get("data").Str)
	switch {
	case kind == "image" && !slices.Contains(anthropicImages, mediaType):
		return "", anthropicFault("%s.base64.media_type: Input should be %s", at, strings.ReplaceAll(quoted(anthropicImages), "', '", "' or '"))
	case kind == "document" && mediaType != "application/pdf":
		return "", anthropicFault("%s.base64.media_type: Input should be 'application/pdf'", at)
	case err != nil || len(data) == 0:
		return "", anthropicFault("%s.base64.data: Invalid base64 data", at)
	}
	return Media(mediaType, data), nil
}
