package sandbox_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

func TestEmbeddings(t *testing.T) {
	c := start(t, sandbox.Options{})
	length := 0.0
	want := sandbox.Embedding("a quay", 1536)
	for _, v := range want {
		length += float64(v) * float64(v)
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("length %v", length)
	}
	r := c.post(sandbox.OpenAI, "/openai/v1/embeddings", `{"model":"m","input":["a quay","[[sandbox]] another"],"encoding_format":"base64"}`)
	raw, err := base64.StdEncoding.DecodeString(r.get("data.0.embedding").Str)
	if err != nil || len(raw) != 4*len(want) || math.Float32frombits(binary.LittleEndian.Uint32(raw[4:])) != want[1] || r.get("data.1.index").Int() != 1 {
		t.Errorf("%v: %.300s", err, r.body)
	}
	r = c.post(sandbox.OpenAI, "/openai/v1/embeddings", `{"model":"m","input":[[1,2,3],[4]],"dimensions":8}`)
	if len(r.get("data.0.embedding").Array()) != 8 || r.get("usage").Raw != `{"prompt_tokens":4,"total_tokens":4}` {
		t.Errorf("%s", r.body)
	}
	r = c.post(sandbox.Google, "/google/v1beta/models/e:embedContent", `{"content":{"parts":[{"text":"a quay"}]},"outputDimensionality":1536}`)
	if got := r.get("embedding.values.1").Num; float32(got) != want[1] || r.get("usageMetadata").Exists() {
		t.Errorf("%.300s", r.body)
	}
	r = c.post(sandbox.Google, "/google/v1beta/models/e:batchEmbedContents", `{"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]}},{"model":"models/e","content":{"parts":[{"text":"a quay"}]},"outputDimensionality":1536}]}`)
	if got := r.get("embeddings.1.values.1").Num; float32(got) != want[1] {
		t.Errorf("%.300s", r.body)
	}
	for i, input := range []int{4 + 0, 4, 2, 3} {
		if i == 0 {
			input = sandbox.CountTokens("a quay") + sandbox.CountTokens("[[sandbox]] another")
		}
		if call := c.calls(4)[i]; call.Endpoint != sandbox.Embed || call.Tokens != (sandbox.Tokens{Input: input}) || call.Finish != "" || call.Outcome != sandbox.Completed {
			t.Errorf("record %d: %+v, want %d", i, call, input)
		}
	}
	for body, says := range map[string]string{
		`{"model":"m"}`: "input", `{"model":"m","input":[]}`: "empty_array", `{"model":"m","input":[["a"]]}`: "token ids", `{"model":"m","input":"x","n":1}`: "n",
		`{"model":"m","input":"[[sandbox fail=overloaded]]"}`: "overloaded", `{"model":"m","input":"[[sandbox output=5]]"}`: "sandbox: ",
	} {
		if r := c.post(sandbox.OpenAI, "/openai/v1/embeddings", body); r.status < 400 || !strings.Contains(r.body, says) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	for path, body := range map[string]string{"embedContent": `{"requests":[]}`, "batchEmbedContents": `{"requests":[{"model":"models/other","content":{"parts":[{"text":"a"}]}}]}`} {
		if r := c.post(sandbox.Google, "/google/v1beta/models/e:"+path, body); r.status != 400 {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

// A count says what the call would be charged.
func TestCounts(t *testing.T) {
	c := start(t, sandbox.Options{})
	input := func(provider, body string) int64 {
		c.do(c.request(provider, false, body))
		calls := c.box.Calls()
		return int64(calls[len(calls)-1].Tokens.Input)
	}
	const tail = `"messages":[{"role":"user","content":"[[sandbox fail=overloaded fail_at=0]] how long?"}],` // a count follows no directive
	r := c.post(sandbox.Anthropic, "/anthropic/v1/messages/count_tokens", `{"model":"m",`+tail+offers[sandbox.Anthropic]+`}`)
	want := input(sandbox.Anthropic, `{"model":"m","max_tokens":9,`+strings.Replace(tail, "fail=overloaded fail_at=0", "input=1000000     ", 1)+offers[sandbox.Anthropic]+`}`)
	if got := r.get("input_tokens").Int(); r.status != 200 || got == 0 || want != 1000000 {
		t.Errorf("%s, record %d", r.body, want)
	}
	body := `{"contents":[{"parts":[{"text":"how long is it?"}]}]}`
	want = input(sandbox.Google, body)
	for _, b := range []string{body, `{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"how long is it?"}]}]}}`} {
		if r := c.post(sandbox.Google, "/google/v1beta/models/m:countTokens", b); r.get("totalTokens").Int() != want {
			t.Errorf("%s: %s, want %d", b, r.body, want)
		}
	}
	if r := c.post(sandbox.OpenAI, responsesPath+"/input_tokens", `{"model":"m","input":"how long is it?"}`); r.get("input_tokens").Int() != want || r.get("object").Str != "response.input_tokens" {
		t.Errorf("%s", r.body)
	}
	for _, test := range []struct{ provider, path, body string }{
		{sandbox.Anthropic, "/anthropic/v1/messages/count_tokens", `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`},
		{sandbox.Google, "/google/v1beta/models/m:countTokens", `{}`}, {sandbox.OpenAI, responsesPath + "/input_tokens", `{"model":"m","input":"x","stream":true}`},
	} {
		if r := c.post(test.provider, test.path, test.body); r.status != 400 {
			t.Errorf("%s: %d %s", test.body, r.status, r.body)
		}
	}
	counts := 0
	for _, call := range c.box.Calls() {
		if call.Endpoint == sandbox.Count {
			counts++
		}
	}
	if counts != 7 {
		t.Errorf("%d counts in the record", counts)
	}
}

func TestModelPages(t *testing.T) {
	c := start(t, sandbox.Options{Models: map[string][]string{sandbox.Anthropic: {"a", "b", "c"}, sandbox.Google: {"a", "b", "c"}, sandbox.OpenAI: {"a"}}})
	get := func(provider, path string) gjson.Result {
		r, _ := http.NewRequest(http.MethodGet, c.root+path, nil)
		authorise(r, provider, "secret")
		got := c.do(r)
		return gjson.Parse(fmt.Sprintf(`{"status":%d,"body":%s}`, got.status, got.body))
	}
	for _, test := range []struct{ provider, path, field, want string }{
		{sandbox.Anthropic, "/anthropic/v1/models?limit=2", "body.data.#.id", `["a","b"]`}, {sandbox.Anthropic, "/anthropic/v1/models?limit=2", "body.has_more", "true"},
		{sandbox.Anthropic, "/anthropic/v1/models?limit=2&after_id=b", "body.data.#.id", `["c"]`}, {sandbox.Anthropic, "/anthropic/v1/models?limit=1&before_id=c", "body.data.#.id", `["b"]`},
		{sandbox.Anthropic, "/anthropic/v1/models?limit=0", "status", "400"}, {sandbox.Anthropic, "/anthropic/v1/models?after_id=x", "status", "400"},
		{sandbox.Anthropic, "/anthropic/v1/models/b", "body.id", "b"}, {sandbox.Anthropic, "/anthropic/v1/models/x", "status", "404"},
		{sandbox.Google, "/google/v1beta/models?pageSize=2", "body.models.#.name", `["models/a","models/b"]`}, {sandbox.Google, "/google/v1beta/models?pageSize=2", "body.nextPageToken", "2"},
		{sandbox.Google, "/google/v1beta/models?pageSize=2&pageToken=2", "body.models.#.name", `["models/c"]`}, {sandbox.Google, "/google/v1beta/models?pageToken=9", "status", "400"},
		{sandbox.Google, "/google/v1beta/models/c", "body.name", "models/c"}, {sandbox.OpenAI, "/openai/v1/models/a", "body.id", "a"}, {sandbox.OpenAI, "/openai/v1/models/x", "status", "404"},
		{sandbox.OpenAI, "/compatible/v1/models", "body.data.#", "1"},
	} {
		if got := get(test.provider, test.path); got.Get(test.field).String() != test.want {
			t.Errorf("%s: %s is %s, want %s", test.path, test.field, got.Get(test.field), test.want)
		}
	}
	if lists := c.box.Lists(); len(lists) != 16 || lists[7].Model != "x" || lists[7].Status != 404 || len(c.box.Calls()) != 0 {
		t.Errorf("%d lists", len(lists))
	}
}

func TestCompatibleServers(t *testing.T) {
	c := start(t, sandbox.Options{})
	chat := func(persona, extra string) reply {
		return c.post(sandbox.OpenAI, "/compatible/"+persona+"/chat/completions", `{"model":"m","messages":[{"role":"user","content":"[[sandbox reasoning=4 chunks=1]] x"}]`+extra+`}`)
	}
	r := chat("v1", `,"stream":true,"wings":2`)
	all, _ := events(t, r.body)
	if n := len(all); n != 5 || gjson.Get(all[1].data, "choices.0.delta.reasoning_content").Str == "" || gjson.Get(all[3].data, "choices.0.finish_reason").Str != "stop" ||
		gjson.Get(all[3].data, "usage.completion_tokens_details.reasoning_tokens").Int() != 4 || all[4].data != "[DONE]" {
		t.Errorf("%s", r.body)
	}
	r = c.post(sandbox.OpenAI, "/compatible/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"[[sandbox no_done no_usage]] x"}]}`)
	if strings.Contains(r.body, "[DONE]") || strings.Contains(r.body, "usage") {
		t.Errorf("%s", r.body)
	}
	for _, extra := range []string{`,"max_completion_tokens":5`, `,"stream":true,"stream_options":{"include_usage":true}`, `,"reasoning_effort":"low"`,
		`,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}`} {
		if r := chat("strict", extra); r.status != 400 {
			t.Errorf("strict takes %s: %s", extra, r.body)
		}
		if r := chat("v1", extra); r.status != 200 {
			t.Errorf("v1 refuses %s: %s", extra, r.body)
		}
	}
	if r := c.post(sandbox.OpenAI, "/compatible/strict/chat/completions", `{"model":"m","messages":[{"role":"developer","content":"x"}]}`); r.status != 400 {
		t.Errorf("strict takes developers: %s", r.body)
	}
	if r := chat("strict", `,"max_tokens":50`); r.status != 200 || r.get("choices.0.message.reasoning_content").Str == "" {
		t.Errorf("strict: %s", r.body)
	}
	azure, _ := http.NewRequest(http.MethodPost, c.root+"/compatible/azure/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}`))
	azure.Header.Set("Api-Key", "secret")
	other := azure.Clone(t.Context())
	other.URL.Path = strings.Replace(other.URL.Path, "azure", "v1", 1)
	other.Body = http.NoBody
	other.ContentLength = 0
	if got := c.do(other); got.status != 401 {
		t.Errorf("v1 takes the key in Api-Key: %d", got.status)
	}
	r = c.do(azure)
	all, _ = events(t, r.body)
	if first, last := all[0].data, all[len(all)-2].data; r.status != 200 || !gjson.Get(first, "prompt_filter_results").Exists() || len(gjson.Get(first, "choices").Array()) != 0 ||
		len(gjson.Get(last, "choices").Array()) != 0 || !gjson.Get(last, "usage.total_tokens").Exists() {
		t.Errorf("azure: %s", r.body)
	}
	calls := c.box.Calls()
	if last := calls[len(calls)-1]; last.Provider != sandbox.Compatible || last.Key != sandbox.Fingerprint("secret") {
		t.Errorf("record %+v", last)
	}
}

// The cache's lifetimes and the tier, where a provider tells of them.
func TestLifetimesAndTiers(t *testing.T) {
	c := start(t, sandbox.Options{})
	const words = "[[sandbox input=400 cached=100 cache_write=20 cache_write_long=30 tier=priority]] x"
	want := sandbox.Tokens{Input: 250, CacheRead: 100, CacheWrite: 20, CacheWriteLong: 30}
	r := c.ask(sandbox.Anthropic, words, false, "")
	if u := r.get("usage"); u.Get("cache_creation").Raw != `{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30}` || u.Get("cache_creation_input_tokens").Int() != 50 ||
		u.Get("input_tokens").Int() != 250 || u.Get("service_tier").Str != "priority" {
		t.Errorf("%s", u.Raw)
	}
	r = c.ask(sandbox.OpenAI, words, false, "")
	if u := r.get("usage"); u.Get("prompt_tokens").Int() != 400 || u.Get("prompt_tokens_details.cache_write_tokens").Int() != 50 || r.get("service_tier").Str != "priority" {
		t.Errorf("%s", r.body)
	}
	for _, call := range c.calls(2) {
		call.Tokens.Output = 0
		if call.Tokens != want || call.Tier != "priority" {
			t.Errorf("record %+v", call)
		}
	}
	r = c.ask(sandbox.Google, "[[sandbox cached=1]] tier", false, `"serviceTier":"flex"`)
	if r.get("usageMetadata.trafficType").Str != "ON_DEMAND_FLEX" || c.calls(3)[2].Tier != "ON_DEMAND_FLEX" {
		t.Errorf("%s", r.body)
	}
}

// The new paths bear what the old ones do: odd boundaries, split runes, extras.
func TestDeliveryOfCalls(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		for _, words := range []string{"crlf pings", "split=utf8", "split=3 chunk_bytes=1", "extras", "chunks=2 reasoning=3"} {
			c := start(t, sandbox.Options{})
			r := c.ask(provider, "[[sandbox call=city,now "+words+"]] x", stream, offers[provider])
			calls, _ := r.toolCalls(t, provider, stream)
			if len(calls) != 2 || calls[0].args != sandbox.Instance(citySchemaText, 0) {
				t.Errorf("%s: %+v: %s", words, calls, r.body)
			}
			if words == "extras" && provider != sandbox.OpenAI && !strings.Contains(r.body, "sandbox_block") && !strings.Contains(r.body, "sandboxPart") {
				t.Errorf("no unknown block or part: %s", r.body)
			}
		}
		if !stream {
			return
		}
		c := start(t, sandbox.Options{})
		for n := range 6 {
			c.ask(provider, fmt.Sprintf("[[sandbox call=city,now cut=%d]] x", n%3), stream, offers[provider])
		}
		for i, call := range c.calls(6) {
			if call.Outcome != sandbox.Cut && (provider != sandbox.Google || i%3 != 2) {
				t.Errorf("record %+v", call)
			}
		}
	})
}
