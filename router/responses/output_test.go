package responses

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// What nobody will ask for is not kept, nor is an answer beyond the bound: answers may be long.
func TestItemsKept(t *testing.T) {
	const done = `{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"a"}]}}`
	for _, keeps := range []bool{true, false} {
		d := decoder{keeps: keeps}
		if _, err := d.Frame([]byte(done), nil); err != nil {
			t.Fatal(err)
		}
		if kept := d.items[0].raw != ""; kept != keeps {
			t.Errorf("keeps %t: kept %t", keeps, kept)
		}
		steps, err := d.Frame([]byte(`{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}]}}`), nil)
		if err != io.EOF || len(steps) != 1 || steps[0].Text != "" {
			t.Errorf("keeps %t: %+v %v", keeps, steps, err)
		}
	}
	d := decoder{keeps: true}
	for i := range 3 {
		item := fmt.Sprintf(`{"type":"response.output_item.done","output_index":%d,"item":{"type":"reasoning","encrypted_content":%q}}`, i, strings.Repeat("x", router.MaxTurn/2))
		if _, err := d.Frame([]byte(item), nil); err != nil {
			t.Fatal(err)
		}
	}
	if d.keeps || d.items[0].raw != "" {
		t.Error("a turn beyond the bound is kept in part")
	}
}

// What an answer cost that failed is known all the same.
func TestUsageOfFailures(t *testing.T) {
	const failed = `{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"usage":{"input_tokens":1000,"output_tokens":700}}`
	want := ledger.Usage{Input: 1000, Output: 700}
	var d decoder
	if _, err := d.Frame([]byte(`{"type":"response.failed","response":`+failed+`}`), nil); err == nil {
		t.Error("a failed stream is whole")
	}
	if u, final := d.Usage(); u != want || !final {
		t.Errorf("%+v %t", u, final)
	}
	d = decoder{}
	if _, err := d.Body([]byte(failed), nil); err == nil {
		t.Error("a failed answer is whole")
	}
	if u, final := d.Usage(); u != want || !final {
		t.Errorf("%+v %t", u, final)
	}
}
