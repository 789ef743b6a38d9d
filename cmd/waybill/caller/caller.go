// Package caller makes calls to a node as a developer's program does: by HTTP, with a key, in OpenAI's dialect. The demo
// uses it. It knows nothing of what is behind the address.
package caller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Answer is what came back for one call.
type Answer struct {
	Status     int
	Request    string // waybill's id of the call
	Model      string // provider/model that answered
	Credential string // byok or platform
	Attempts   string
	Billing    string // who paid: plan, credit, byok, free, or a mix
	Charge     string // dollars
	OutputCap  string // tokens, if the balance or the plan clipped the answer
	Text       string
	Code       string // of an error: its class
	Message    string // of an error
}

// Chat asks a model one question. A cap of 0 leaves the length of the answer to the node. A refusal is an Answer too; an
// error means that there was none.
func Chat(ctx context.Context, url, key, model, text string, outputCap int64) (Answer, error) {
	body := map[string]any{"model": model, "messages": []map[string]string{{"role": "user", "content": text}}}
	if outputCap > 0 {
		body["max_completion_tokens"] = outputCap
	}
	b, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(b))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("calling %s: %w", model, err)
	}
	defer resp.Body.Close()
	if b, err = io.ReadAll(resp.Body); err != nil {
		return Answer{}, fmt.Errorf("reading the answer of %s: %w", model, err)
	}
	var v struct {
		Choices []struct{ Message struct{ Content string } }
		Error   struct{ Code, Message string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Answer{}, fmt.Errorf("reading the answer of %s: %w", model, err)
	}
	h := resp.Header
	a := Answer{Status: resp.StatusCode, Request: h.Get("Waybill-Request"), Model: h.Get("Waybill-Model"), Credential: h.Get("Waybill-Credential"),
		Attempts: h.Get("Waybill-Attempts"), Billing: h.Get("Waybill-Billing"), Charge: h.Get("Waybill-Charge"), OutputCap: h.Get("Waybill-Output-Cap"),
		Code: v.Error.Code, Message: v.Error.Message}
	if len(v.Choices) > 0 {
		a.Text = v.Choices[0].Message.Content
	}
	return a, nil
}
