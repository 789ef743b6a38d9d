package http

import (
	"net/http/httptest"
	"strings"
	"testing"

	"waybill/router"
)

// Warnings never make headers too large for who stands in between.
func TestWarningsOfAnAnswerAreBounded(t *testing.T) {
	var many []string
	for range 500 {
		many = append(many, "messages[1].content[2]: "+strings.Repeat("x", 80))
	}
	w := httptest.NewRecorder()
	(&sink{w: w}).Start(router.Facts{Warnings: many})
	got, size := w.Header()["Waybill-Warning"], 0
	for _, s := range got {
		size += len(s)
	}
	if size > maxWarnings+64 || got[0] != many[0] || got[len(got)-1] != "461 more warnings are left out" {
		t.Errorf("%d bytes, %q", size, got[len(got)-1])
	}
	w = httptest.NewRecorder()
	(&sink{w: w}).Start(router.Facts{Warnings: many[:3]})
	if got := w.Header()["Waybill-Warning"]; len(got) != 3 {
		t.Errorf("%q", got)
	}
}
