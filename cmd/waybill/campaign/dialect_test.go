package campaign

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"waybill/router/sandbox"
)

// What callers read in an answer is what the upstream has counted, in each dialect, streamed or not; and of an answer that is cut
// before its end none is taken for whole.
func TestDialectsAreRead(t *testing.T) {
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	at := map[string][2]string{"chat": {"openai", "gpt-6-luna"}, "responses": {"openai", "gpt-6-luna"}, "messages": {"anthropic", "claude-haiku-5-5"}, "gemini": {"google", "gemini-2.5-flash"}}
	for _, d := range dialects {
		for _, stream := range []bool{false, true} {
			ask := func(directive string) shown {
				t.Helper()
				provider, model := at[d.name][0], at[d.name][1]
				path, body := d.ask(model, stream, "Hello. [[sandbox output=40 chunks=4 "+directive+"]]")
				_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
				if provider == "openai" && d.name == "chat" && stream {
					body = strings.Replace(body, "{", `{"stream_options":{"include_usage":true},`, 1)
				}
				root := strings.TrimSuffix(strings.TrimSuffix(up.BaseURL(provider), "/v1"), "/v1beta")
				version := map[string]string{"google": "/v1beta/"}[provider]
				if version == "" {
					version = "/v1/"
				}
				r, _ := http.NewRequest("POST", root+version+path, strings.NewReader(body))
				for _, h := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
					r.Header.Set(h, "sk-one")
				}
				r.Header.Set("Authorization", "Bearer sk-one")
				r.Header.Set("Anthropic-Version", "2023-06-01")
				r.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body) // it may be cut
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %d %s", d.name, resp.StatusCode, b)
				}
				return d.read(b, stream)
			}
			a := ask("reasoning=7")
			calls := up.Calls()
			c := calls[len(calls)-1].Tokens
			if !a.whole || !a.counted || a.input != int64(c.Input) || a.output != int64(c.Output) || a.thinks && a.reasoning != int64(c.Reasoning) || c.Output < 40 {
				t.Errorf("%s, stream %t: %+v is read, %+v was counted", d.name, stream, a, c)
			}
			if a := ask("cut=end"); a.whole {
				t.Errorf("%s, stream %t: an answer that is cut is taken for whole: %+v", d.name, stream, a)
			}
		}
	}
}
