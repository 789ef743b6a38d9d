package responses

import "github.com/tidwall/gjson"

// closed tells whether OpenAI enforces a schema: each of its objects forbids properties that it does not name, and
// requires all that it does.
func closed(schema string) bool {
	ok := true
	var walk func(v gjson.Result)
	walk = func(v gjson.Result) {
		if properties := v.Get("properties"); v.IsObject() && (properties.IsObject() || v.Get("type").Str == "object") {
			ok = ok && v.Get("additionalProperties").Type == gjson.False && allRequired(properties, v.Get("required"))
		}
		v.ForEach(func(_, inner gjson.Result) bool {
			if inner.IsObject() || inner.IsArray() {
				walk(inner)
			}
			return ok
		})
	}
	walk(gjson.Parse(schema))
	return ok
}

func allRequired(properties, required gjson.Result) bool {
	named := map[string]bool{}
	for _, r := range required.Array() {
		named[r.Str] = true
	}
	all := true
	properties.ForEach(func(key, _ gjson.Result) bool {
		all = named[key.Str]
		return all
	})
	return all
}
